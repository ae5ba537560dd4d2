import { createServer, type ServerResponse } from 'node:http';
import { createPool, type PoolConnection, type RowDataPacket } from 'mysql2/promise';
import { barrierOpening } from '../../src/database/barrier.ts';
import { mysqlDialect } from '../../src/database/mysql.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { buildStatements } from '../../src/resources/statements.ts';

/**
 * The yardstick of what is not cached: the bare driver, with the settings that the service gives it and as many connections,
 * in a process of its own. It answers nothing itself; `GET /?work=item&from=1&concurrency=64&seconds=1` makes it work for so
 * long, and tells how much was done.
 */
const { DB_HOST: host, DB_PORT: port, DB_USERNAME: user, DB_PASSWORD: password, DB_DATABASE: database } = process.env;
const server = { host: host ?? '', port: Number(port), user: user ?? '', password: password ?? '' };
const pool = createPool({
  ...server,
  ...(database === undefined ? {} : { database }),
  connectionLimit: 10,
  charset: 'utf8mb4_unicode_ci',
  timezone: 'Z',
  dateStrings: true,
  supportBigNumbers: true,
  bigNumberStrings: false,
  multipleStatements: true,
});
const statements = buildStatements(posts, mysqlDialect);
const update = 'UPDATE posts SET title = ?, updated_at = CURRENT_TIMESTAMP WHERE id = ?';
let written = 0;

/** The pieces of work, each on one id. */
const works: Readonly<Record<string, (id: string) => Promise<void>>> = {
  /** The very query of a miss. */
  item: async (id) => {
    await pool.execute<RowDataPacket[][]>({ sql: statements.selectItem, values: [id], rowsAsArray: true });
  },
  /** The query of the whole list. */
  list: async () => {
    await pool.execute<RowDataPacket[][]>({ sql: statements.selectAll, rowsAsArray: true });
  },
  /** The least that can change a row in a transaction. */
  update: (id) => transact((connection) => write(connection, id)),
  /** The same with a share of the barrier, as every write of the service takes it. */
  barrier: (id) => transact((connection) => write(connection, id), `; ${barrierOpening(mysqlDialect)}`),
  /** What a service does by hand to answer a PUT: lock the row, to know that it is there, change it, read what is answered. */
  put: (id) =>
    transact(async (connection) => {
      await connection.execute('SELECT title, content, user_id FROM posts WHERE id = ? FOR UPDATE', [id]);
      await write(connection, id);
      await connection.execute<RowDataPacket[][]>({ sql: statements.selectItem, values: [id], rowsAsArray: true });
    }),
};

async function transact(work: (connection: PoolConnection) => Promise<void>, opening = ''): Promise<void> {
  const connection = await pool.getConnection();
  await connection.query(`START TRANSACTION${opening}`);
  await work(connection);
  await connection.query('COMMIT');
  connection.release();
}

async function write(connection: PoolConnection, id: string): Promise<void> {
  written += 1;
  await connection.execute(update, [`by hand ${written}`, id]);
}

/** From id `from` on, up to `to` and then from the beginning again. */
async function run(query: URLSearchParams): Promise<{ count: number; seconds: number }> {
  const asked = (name: string): number => Number(query.get(name));
  const [from, to, began] = [asked('from'), asked('to'), performance.now()];
  const work = works[query.get('work') ?? ''];
  if (work === undefined) throw new Error(`there is no work ${query.get('work')}`);
  const until = began + asked('seconds') * 1000;
  let count = 0;
  const worker = async (): Promise<void> => {
    do {
      const id = from + (count % (to - from + 1));
      count += 1;
      await work(String(id));
    } while (performance.now() < until);
  };
  await Promise.all(Array.from({ length: asked('concurrency') }, worker));
  return { count, seconds: (performance.now() - began) / 1000 };
}

async function answer(url: string, response: ServerResponse): Promise<void> {
  try {
    response.end(JSON.stringify(await run(new URL(url, 'http://driver').searchParams)));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}

const control = createServer((request, response) => void answer(request.url ?? '', response));
control.listen(0, '127.0.0.1', () => {
  const address = control.address();
  console.log(`listening on ${typeof address === 'object' ? address?.port : ''}`);
});
process.on('SIGTERM', () => process.exit(0));
