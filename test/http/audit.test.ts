import { describe, expect, test } from '@jest/globals';
import { createConnection } from 'mysql2/promise';
import { backends, eventually, startService } from '../harness/service.ts';

/** A program that writes to MySQL and tells nobody: the audit finds it long before the entry expires. */
describe.each(backends.filter(({ name }) => name !== 'embedded').map(({ name, start }) => [name, start] as const))(
  'the audit, on %s',
  (_name, start) => {
    test('finds a row that was changed past the service, says so in the log, and the next read is right', async () => {
      const backend = await start();
      const lines: string[] = [];
      const service = await startService(
        { ...backend.environment, AUDIT_PER_MILLION: '1000000' },
        { log: { write: (line) => void lines.push(line) } },
      );
      const { host, port, username: user, password, name: database } = backend.schema ?? {};
      const client = await createConnection({ host, port, user, password, database } as object);
      try {
        await client.query("INSERT INTO users (id, name, email, password) VALUES (1, 'A', 'a@example.com', '!')");
        await client.query("INSERT INTO posts (id, title, content, user_id) VALUES (1, 'old', 'c', 1)");
        await eventually(async () => (await service.get('/cache/posts/1')).json.source === 'cache');
        await client.query("UPDATE posts SET title = 'new' WHERE id = 1");
        await eventually(async () => (await service.get('/cache/posts/1')).json.data.title === 'new');
        expect(lines.filter((line) => line.includes('Audit: what was cached under post:1 was not'))).toHaveLength(1);
      } finally {
        await client.end();
        await service.stop();
        await backend.stop();
      }
    });
  },
);
