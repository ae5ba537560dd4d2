import { type Logger, pino, stdTimeFunctions } from 'pino';
import pretty from 'pino-pretty';

/**
 * JSON lines for machines, readable ones on a terminal. Bodies and headers are never logged; should one slip into an
 * object all the same, what is secret in it is cut out here.
 */
export function createLogger(options: { level: string; format: 'auto' | 'json' | 'pretty' }): Logger {
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && process.stdout.isTTY);
  const base = {
    level: options.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    redact: {
      paths: ['headers', '*.headers', 'password', '*.password', '*.*.password', 'secret', '*.secret'],
      censor: '[secret]',
    },
  };
  if (!isPretty) return pino(base);
  return pino(base, pretty({ colorize: process.stdout.isTTY, translateTime: 'SYS:HH:MM:ss.l', sync: true }));
}
