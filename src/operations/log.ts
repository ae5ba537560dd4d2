import { type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import pretty from 'pino-pretty';
import { traceFields } from './tracing/context.ts';

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
    serializers: { err: toFault },
    mixin: traceFields,
    redact: {
      paths: ['headers', '*.headers', 'password', '*.password', '*.*.password', 'secret', '*.secret'],
      censor: '[secret]',
    },
  };
  // Lines are written in the background, and with a least length `flush` can tell when all are out.
  if (!isPretty) return pino(base, pino.destination({ minLength: 1 }));
  return pino(base, pretty({ colorize: process.stdout.isTTY, translateTime: 'SYS:HH:MM:ss.l', sync: true }));
}

/** Resolves when every line is written: a process that ended before could lose its last ones, or swap them. */
export async function flushLog(log: Logger): Promise<void> {
  await new Promise<void>((resolve) => log.flush(() => resolve()));
}

/** MySQL quotes the value that it refused in the text of its error, and ioredis hangs the command on its: AUTH, for one. */
function toFault(error: Error): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { command: _, ...fault } = stdSerializers.err(error);
  const entries = Object.entries(fault).map(([name, value]) => [
    name,
    typeof value === 'string' ? value.replace(quotedValue, "$1 '[cut]'") : value,
  ]);
  return Object.fromEntries(entries);
}

/** `Incorrect integer value: '...' for column`, `Duplicate entry '...' for key`. Greedy: the value itself may say as much. */
const quotedValue = /(value:|entry) '.*'(?= for (?:column|key) )/gs;
