import cluster from 'node:cluster';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { systemClock } from '../cache/clock.ts';
import { loadConfig, readEnvironment } from '../config.ts';
import { createLogger, flushLog } from '../operations/log.ts';
import { ownPart, Workers } from '../operations/workers.ts';
import { startServer } from '../server.ts';
import { isSet, numberOf, usageError, type Verb } from './verb.ts';

/** The verb `serve`: goes on until a signal ends it. */
export const serve: Verb = {
  name: 'serve',
  summary: 'answer requests, which is what it does without a verb too',
  details: ['With `--json` the log is JSON lines, whatever `LOG_FORMAT` says.'],
  flags: [{ name: 'workers', value: 'N', description: 'processes that share the port', standard: '1' }],
  run: async (given) => {
    await run(numberOf(given, 'workers', { standard: 1, least: 1, most: mostWorkers }), isSet(given, 'json'));
    return undefined;
  },
};

const mostWorkers = 256;

async function run(workers: number, isJson: boolean): Promise<void> {
  const environment = readEnvironment();
  const config = loadConfig(environment);
  const { LOG_LEVEL: level, LOG_FORMAT, SHUTDOWN_TIMEOUT_MS: shutdownMs } = config.settings;
  const log = createLogger({ level, format: isJson ? 'json' : LOG_FORMAT });
  if (workers > 1 && cluster.isPrimary) {
    if (config.backend.kind === 'embedded') {
      throw usageError('--workers needs Redis and a database, which they share');
    }
    const all = new Workers(workers, log, systemClock);
    await all.start();
    stopWithGrace(log, shutdownMs + 2_000, () => all.stop(shutdownMs + 1_500));
    return;
  }
  const part = ownPart(environment);
  const own = part === undefined ? log : log.child({ worker: part.number });
  const server = await startServer(config, own, { worker: part });
  // From a terminal SIGINT comes to all processes; the primary then ends the others.
  if (part !== undefined) process.on('SIGINT', () => undefined);
  stopWithGrace(log, shutdownMs + 1_000, () => server.stop(), part === undefined ? [] : ['SIGINT']);
}

function stopWithGrace(log: Logger, delay: number, stop: () => Promise<void>, skip: 'SIGINT'[] = []): void {
  closeWithGrace({ delay, logger: false, skip }, async ({ signal, err }) => {
    if (err === undefined) log.info(`Stopping: ${signal}`);
    else log.fatal({ err }, 'Stopping: an error that nothing caught');
    await stop();
    log.info('Stopped');
    await flushLog(log);
  });
}
