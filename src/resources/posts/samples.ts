import type { Database } from '../../database/database.ts';

/** What the embedded default shows to a newcomer. Nobody can log in with these rows: `!` is the hash of no password. */
const users = [
  ['Ada Lovelace', 'ada@example.com'],
  ['Grace Hopper', 'grace@example.com'],
  ['Alan Turing', 'alan@example.com'],
] as const;

const samples = [
  [
    'Welcome to EnergeX',
    'This row comes from the embedded database: nothing is installed, and it lives as long as the process.',
    1,
  ],
  ['Read it twice', 'The first read says "source": "database", the second "source": "cache".', 2],
  ['Change it', 'A PUT invalidates this post and the list, and nothing else.', 3],
] as const;

/** Fills empty tables with a few users and posts. */
export async function addSamples(database: Database): Promise<void> {
  const [row] = await database.query('SELECT COUNT(*) FROM users');
  if (Number(row?.[0]) > 0) return;
  for (const [name, email] of users) {
    await database.execute(
      "INSERT INTO users (name, email, password, created_at, updated_at) VALUES (?, ?, '!', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
      [name, email],
    );
  }
  for (const [title, content, author] of samples) {
    await database.execute(
      'INSERT INTO posts (title, content, user_id, created_at, updated_at) VALUES (?, ?, ?, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)',
      [title, content, author],
    );
  }
}
