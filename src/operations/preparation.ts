import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import { CatalogueError, describeError } from '../errors.ts';
import { addSamples } from '../resources/posts/samples.ts';
import { addressOf } from '../http/listener.ts';

/** Creates missing tables, as soon as the database lets it. */
export function prepareDatabase({ backend }: Config, database: Database, log: Logger): Preparation {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let isDone = false;
  const where =
    backend.kind === 'embedded' ? `embedded SQLite, ${placeOf(backend.location)}` : addressOf(backend.database);
  let told: string | undefined;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const attempt = async (): Promise<void> => {
    try {
      const created = await migrate(database);
      if (backend.kind === 'embedded') await addSamples(database);
      const tables = created.length === 0 ? 'all tables are there' : `created ${created.join(', ')}`;
      log.info(`Database: ${where}: connected; ${tables}`);
      isDone = true;
      if (!stopped) resolve();
    } catch (error) {
      if (stopped) return;
      const reason = rootCause(error);
      // Once for each change of the reason: the attempts go on by the second, for hours if need be.
      if (reason !== told) log.warn(`Database: ${where}: ${reason}; trying again until it answers`);
      told = reason;
      timer = setTimeout(() => void attempt(), prepareRetryMs).unref();
    }
  };
  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
  };
  return { firstAttempt: attempt(), done, isDone: () => isDone, stop };
}

export interface Preparation {
  readonly firstAttempt: Promise<void>;
  /** Resolves when all tables are there. */
  readonly done: Promise<void>;
  readonly isDone: () => boolean;
  stop(): void;
}

const prepareRetryMs = 1_000;

function placeOf(location: string): string {
  return location === ':memory:' ? 'in memory' : `file ${location}`;
}

function rootCause(error: unknown): string {
  return error instanceof CatalogueError && error.cause !== undefined
    ? describeError(error.cause)
    : describeError(error);
}
