import { createConnection, type RowDataPacket } from 'mysql2/promise';
import type { Stage } from './stage.ts';

/** Doubles the rows until their ids reach `greatest`; resolves with the greatest id. */
export async function addRows({ environment }: Stage, greatest: number): Promise<number> {
  const connection = await createConnection({
    host: environment['DB_HOST'] ?? '',
    port: Number(environment['DB_PORT']),
    user: environment['DB_USERNAME'] ?? '',
    password: environment['DB_PASSWORD'] ?? '',
    database: environment['DB_DATABASE'] ?? '',
  });
  try {
    for (;;) {
      const [[row]] = await connection.query<RowDataPacket[]>(
        'SELECT MAX(id) AS id, COUNT(*) AS rows_there FROM posts',
      );
      const [reached, there] = [Number(row?.['id']), Number(row?.['rows_there'])];
      if (there >= greatest) return there;
      // With ids of our own: InnoDB leaves gaps when it numbers the rows of a SELECT.
      const next = Math.min(there, greatest - there);
      await connection.query(
        `INSERT INTO posts (id, title, content, user_id, created_at, updated_at)
         SELECT id + ?, title, content, user_id, created_at, updated_at FROM posts WHERE id <= ?`,
        [reached, next],
      );
    }
  } finally {
    await connection.end();
  }
}
