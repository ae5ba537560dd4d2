import { systemClock } from '../cache/clock.ts';
import type { Config } from '../config.ts';
import { CatalogueError, describeError } from '../errors.ts';
import type { Settings } from '../options.ts';
import type { Database } from './database.ts';
import { MysqlDatabase, type MysqlOptions } from './mysql.ts';
import { type OpenReplica, Replicas } from './replicas.ts';
import { ReplicatedDatabase } from './replicated.ts';
import { SqliteDatabase } from './sqlite.ts';

/** The database of the configuration, which is connected to when it is used. */
export function openDatabase({ settings, backend }: Config): Database {
  if (backend.kind === 'embedded') return openEmbedded(backend.location, settings.DB_QUEUE_LIMIT);
  const options = optionsOf(settings, backend.database);
  const addresses = settings.DB_REPLICAS ?? [];
  if (addresses.length === 0) return new MysqlDatabase(options);
  const replicas = addresses.map(
    (address): OpenReplica =>
      (onConnect) =>
        openReplica(options, address, onConnect),
  );
  const primary = new MysqlDatabase({ ...options, tracksPositions: true });
  return new ReplicatedDatabase(primary, new Replicas(replicas, systemClock, settings.DB_REPLICA_WAIT_MS));
}

export function optionsOf(settings: Settings, server: MysqlOptions['server']): MysqlOptions {
  return {
    server,
    origin: settings.DB_ORIGIN,
    poolSize: settings.DB_POOL_SIZE,
    queueLimit: settings.DB_QUEUE_LIMIT,
    connectTimeoutMs: settings.DB_CONNECT_TIMEOUT_MS,
    acquireTimeoutMs: settings.DB_ACQUIRE_TIMEOUT_MS,
    statementTimeoutMs: settings.DB_STATEMENT_TIMEOUT_MS,
    commitTimeoutMs: settings.DB_COMMIT_TIMEOUT_MS,
  };
}

/** With the account of the primary. Another server behind the same address is told by its connections. */
export function openReplica(
  options: MysqlOptions,
  { host, port }: { readonly host: string; readonly port: number },
  onConnect?: () => void,
): MysqlDatabase {
  const server = { ...options.server, host, port };
  return new MysqlDatabase({
    ...options,
    server,
    origin: 'replica',
    ...(onConnect === undefined ? {} : { onConnect }),
  });
}

function openEmbedded(location: string, queueLimit: number): Database {
  try {
    return new SqliteDatabase({ location, queueLimit });
  } catch (error) {
    const reason = `EMBEDDED_DATA must name a file for the embedded database, there or to be made: ${describeError(error)}`;
    throw new CatalogueError('CONFIG_INVALID', { params: { reason }, cause: error });
  }
}
