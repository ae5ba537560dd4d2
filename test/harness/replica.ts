import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from './database-server.ts';

/** A primary with one replica, both our own. */
export interface Replication {
  readonly primary: DatabaseServer;
  readonly replica: DatabaseServer;
  /** The replica goes on receiving, and applies nothing. */
  stopApplying(): Promise<void>;
  apply(): Promise<void>;
  stop(): Promise<void>;
}

const gtids: Record<DatabaseFlavour, readonly string[]> = {
  mysql: ['--gtid-mode=ON', '--enforce-gtid-consistency=ON'],
  mariadb: [],
};
const password = 'of the replication';

export async function startReplication(flavour: DatabaseFlavour): Promise<Replication> {
  const config = gtids[flavour];
  const [primary, replica] = await Promise.all([
    startDatabaseServer(flavour, { config, ownProcess: true }),
    startDatabaseServer(flavour, { config: [...config, '--server-id=2', '--read-only=ON'], ownProcess: true }),
  ]);
  const words = flavour === 'mysql' ? (['SOURCE', 'REPLICA'] as const) : (['MASTER', 'SLAVE'] as const);
  const [source, follower] = words;
  await run(primary, [
    `CREATE USER 'replication'@'127.0.0.1' IDENTIFIED BY '${password}'`,
    `GRANT REPLICATION ${flavour === 'mysql' ? 'SLAVE' : 'REPLICA'} ON *.* TO 'replication'@'127.0.0.1'`,
  ]);
  const options = [
    `${source}_HOST = '127.0.0.1'`,
    `${source}_PORT = ${primary.port}`,
    `${source}_USER = 'replication'`,
    `${source}_PASSWORD = '${password}'`,
    ...(flavour === 'mysql'
      ? ['SOURCE_AUTO_POSITION = 1', 'GET_SOURCE_PUBLIC_KEY = 1', 'SOURCE_CONNECT_RETRY = 1']
      : ['MASTER_USE_GTID = slave_pos', 'MASTER_CONNECT_RETRY = 1']),
  ];
  const change = flavour === 'mysql' ? 'CHANGE REPLICATION SOURCE TO' : 'CHANGE MASTER TO';
  await run(replica, [`${change} ${options.join(', ')}`, `START ${follower}`]);
  return {
    primary,
    replica,
    stopApplying: () => run(replica, [`STOP ${follower} SQL_THREAD`]),
    apply: () => run(replica, [`START ${follower} SQL_THREAD`]),
    stop: async () => {
      await Promise.all([replica.stop(), primary.stop()]);
    },
  };
}

/** Statements of root, one after the other; resolves with the rows of the last. */
export async function run(server: DatabaseServer, statements: readonly string[]): Promise<void> {
  await ask(server, statements);
}

export async function ask(server: DatabaseServer, statements: readonly string[]): Promise<RowDataPacket[]> {
  const { host, port, username: user, password: secret } = server;
  const connection = await createConnection({ host, port, user, password: secret, connectTimeout: 5_000 });
  try {
    let rows: RowDataPacket[] = [];
    for (const statement of statements) [rows] = await connection.query<RowDataPacket[]>(statement);
    return rows;
  } finally {
    await connection.end();
  }
}
