#!/usr/bin/env node
import { parseArgs } from 'node:util';
import closeWithGrace from 'close-with-grace';
import { loadConfig, readEnvironment } from './config.ts';
import { CatalogueError, describeError } from './errors.ts';
import { createLogger, flushLog } from './operations/log.ts';
import { runMigrate } from './operations/migrate.ts';
import { runSeed } from './operations/seed.ts';
import { startServer } from './server.ts';

const usage = `Usage: energex-cache [verb]

  serve                           answer requests (the default)
  migrate                         create the tables that are missing
  seed [--posts N] [--users N]    add rows to try things with (10000 posts by 500 users)

Settings come from the environment or a .env file: docs/configuration.md.`;

async function serve(): Promise<void> {
  const config = loadConfig(readEnvironment());
  const { LOG_LEVEL: level, LOG_FORMAT: format, SHUTDOWN_TIMEOUT_MS: shutdownMs } = config.settings;
  const log = createLogger({ level, format });
  const server = await startServer(config, log);
  closeWithGrace({ delay: shutdownMs + 1_000, logger: false }, async ({ signal, err }) => {
    if (err === undefined) log.info(`Stopping: ${signal}`);
    else log.fatal({ err }, 'Stopping: an error that nothing caught');
    await server.stop();
    log.info('Stopped');
    await flushLog(log);
  });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArguments();
  const [verb = 'serve', ...rest] = positionals;
  if (values.help === true) {
    console.log(usage);
    return;
  }
  if (rest.length > 0) throw new CatalogueError('USAGE', { params: { reason: `Unexpected argument "${rest[0]}"` } });
  const misplaced = (['posts', 'users'] as const).find((name) => values[name] !== undefined);
  if (verb !== 'seed' && misplaced !== undefined) {
    throw new CatalogueError('USAGE', { params: { reason: `--${misplaced} belongs to the verb seed` } });
  }
  switch (verb) {
    case 'serve':
      return await serve();
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
    options: { help: { type: 'boolean', short: 'h' }, posts: { type: 'string' }, users: { type: 'string' } },
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
