#!/usr/bin/env node
import cluster from 'node:cluster';
import { parseArgs } from 'node:util';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { systemClock } from './cache/clock.ts';
import { loadConfig, readEnvironment } from './config.ts';
import { CatalogueError, describeError } from './errors.ts';
import { createLogger, flushLog } from './operations/log.ts';
import { runMigrate } from './operations/migrate.ts';
import { runSeed } from './operations/seed.ts';
import { ownPart, Workers } from './operations/workers.ts';
import { startServer } from './server.ts';

const usage = `Usage: energex-cache [verb]

  serve [--workers N]             answer requests (the default), with N processes
  migrate                         create the tables that are missing
  seed [--posts N] [--users N]    add rows to try things with (10000 posts by 500 users)

Settings come from the environment or a .env file: docs/configuration.md.`;

async function serve(workers: number): Promise<void> {
  const environment = readEnvironment();
  const config = loadConfig(environment);
  const { LOG_LEVEL: level, LOG_FORMAT: format, SHUTDOWN_TIMEOUT_MS: shutdownMs } = config.settings;
  const log = createLogger({ level, format });
  if (workers > 1 && cluster.isPrimary) {
    if (config.backend.kind === 'embedded') {
      throw new CatalogueError('USAGE', {
        params: { reason: '--workers needs Redis and a database, which they share' },
      });
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

/** As many processes as `--workers` says. */
function workersIn(text: string | undefined): number {
  const workers = Number(text ?? 1);
  if (!Number.isInteger(workers) || workers < 1 || workers > mostWorkers) {
    throw new CatalogueError('USAGE', {
      params: { reason: `--workers must be a whole number from 1 to ${mostWorkers}` },
    });
  }
  return workers;
}

const mostWorkers = 256;

async function main(): Promise<void> {
  const { values, positionals } = parseArguments();
  const [verb = 'serve', ...rest] = positionals;
  if (values.help === true) {
    console.log(usage);
    return;
  }
  if (rest.length > 0) throw new CatalogueError('USAGE', { params: { reason: `Unexpected argument "${rest[0]}"` } });
  const misplaced = (['posts', 'users'] as const).find((name) => values[name] !== undefined);
  if (verb !== 'serve' && values.workers !== undefined) {
    throw new CatalogueError('USAGE', { params: { reason: '--workers belongs to the verb serve' } });
  }
  if (verb !== 'seed' && misplaced !== undefined) {
    throw new CatalogueError('USAGE', { params: { reason: `--${misplaced} belongs to the verb seed` } });
  }
  switch (verb) {
    case 'serve':
      return await serve(workersIn(values.workers));
    case 'migrate':
      return await runMigrate(loadConfig(readEnvironment()));
    case 'seed':
      return await runSeed(loadConfig(readEnvironment()), { posts: values.posts, users: values.users });
    default:
      throw new CatalogueError('USAGE', { params: { reason: `Unknown verb "${verb}"` } });
  }
}

function parseArguments(): ReturnType<typeof parse> {
  try {
    return parse();
  } catch (error) {
    // Node's first sentence says what is wrong; the others explain the `--` of shells.
    const [reason = ''] = describeError(error).split(/\.(?:\s|$)/);
    throw new CatalogueError('USAGE', { params: { reason } });
  }
}

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      posts: { type: 'string' },
      users: { type: 'string' },
      workers: { type: 'string' },
    },
  });
}

/** One sentence for what the catalogue knows; anything else is a bug and shows its stack. */
function explain(error: unknown): unknown {
  if (!(error instanceof CatalogueError)) return error;
  if (error.code === 'USAGE') return `${error.message} (energex-cache --help shows the usage)`;
  const cause = error.cause === undefined ? '' : describeError(error.cause);
  return error.message.includes(cause) ? error.message : `${error.message} (${cause})`;
}

try {
  await main();
} catch (error) {
  console.error(explain(error));
  // Not only the code: what was opened before the error would keep the process.
  process.exit(1);
}
