import { createPool } from 'mysql2/promise';

/** The application behind a peer: the same rows, loaded the way an application would. */
const pool = createPool({
  host: process.env.DB_HOST,
  port: Number(process.env.DB_PORT),
  user: process.env.DB_USERNAME,
  password: process.env.DB_PASSWORD,
  database: process.env.DB_DATABASE,
  connectionLimit: 10,
  timezone: 'Z',
});

const select =
  'SELECT t.id, t.title, t.content, t.created_at, t.updated_at, t.user_id, e.id AS u, e.name, e.email FROM posts t LEFT JOIN users e ON e.id = t.user_id';

export async function loadPost(id) {
  const [[row]] = await pool.execute(`${select} WHERE t.id = ?`, [id]);
  return row === undefined ? null : toPost(row);
}

export async function loadPosts(limit) {
  const [rows] = await pool.query(
    `${select} ORDER BY t.created_at DESC, t.id DESC ${limit === undefined ? '' : `LIMIT ${Number(limit)}`}`,
  );
  return rows.map(toPost);
}

function toPost({ u, name, email, ...post }) {
  return { ...post, user: { id: u, name, email } };
}

/** What each route asks for: the key, the time to live in seconds, and how to load it. */
export function wanted(request) {
  const { id } = request.params;
  if (id !== undefined) return { key: `peer:post:${id}`, ttl: 600, load: () => loadPost(id) };
  const { limit } = request.query;
  return { key: `peer:posts:${limit ?? 'all'}`, ttl: 300, load: () => loadPosts(limit) };
}

export function envelope(data) {
  return { data, source: 'cache', timestamp: new Date().toISOString() };
}

/** The line that the bench waits for. */
export function tellPort(port) {
  console.log(`listening on ${port}`);
}
