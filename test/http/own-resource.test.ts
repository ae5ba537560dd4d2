import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Type } from 'typebox';
import { type Column, createdAt, identifier, text, updatedAt } from '../../src/resources/columns.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { defineResource } from '../../src/resources/resource.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { describeService, insertPost, type OnStage } from '../harness/stage.ts';

/** A table that the service has never heard of gets everything from its definition alone. */

const stars: Column = {
  writable: 'always',
  schema: Type.Integer({ minimum: 1, maximum: 5 }),
  integer: true,
  isReference: false,
  stamp: 'never',
  json: Type.Integer({ minimum: 1, maximum: 5 }),
  example: 4,
  toJson: (value) => String(value),
};

const notes = defineResource({
  name: 'notes',
  item: 'note',
  table: 'margin_notes',
  columns: {
    id: identifier(),
    words: text({ maxCharacters: 10 }),
    stars,
    created_at: createdAt(),
    updated_at: updatedAt(),
  },
  events: { created: 'note_pinned', updated: 'note_edited', deleted: 'note_torn' },
  ttl: { list: 20_000, item: 40_000, absent: 10_000 },
});

const secret = 'shared secret';

async function createTable({ database }: OnStage): Promise<void> {
  const [id, time] =
    database.dialect.name === 'sqlite'
      ? ['INTEGER PRIMARY KEY AUTOINCREMENT', 'TEXT']
      : ['BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY', 'TIMESTAMP NULL'];
  await database.execute(
    `CREATE TABLE margin_notes (id ${id}, words VARCHAR(10) NOT NULL, stars INTEGER NOT NULL, created_at ${time}, updated_at ${time})`,
  );
}

describeService(
  'a resource of a test',
  { resources: [posts, notes], environment: { REALTIME_API_SECRET: secret } },
  (given) => {
    const clients: LiveClient[] = [];

    beforeAll(() => createTable(given));
    beforeEach(async () => {
      await given.database.execute('DELETE FROM margin_notes');
      await given.database.execute(
        "INSERT INTO margin_notes (id, words, stars, created_at) VALUES (1, 'one', 3, '2025-01-01 00:00:00'), (2, 'two', 5, NULL)",
      );
    });
    afterEach(() => {
      for (const client of clients.splice(0)) client.close();
    });

    const one = { id: 1, words: 'one', stars: 3, created_at: '2025-01-01T00:00:00Z', updated_at: null };
    const two = { id: 2, words: 'two', stars: 5, created_at: null, updated_at: null };

    test('its rows are read through the cache: all, by pages and one by one', async () => {
      for (const source of ['database', 'cache']) {
        expect((await given.service.get('/cache/notes')).json).toMatchObject({ data: [one, two], source });
        expect((await given.service.get('/cache/notes/2')).json).toMatchObject({ data: two, source });
        const page = await given.service.get('/cache/notes?limit=1');
        expect(page.json).toMatchObject({ data: [one], source });
        const next =
          /^<(\/cache\/notes\?limit=1&after=[\w-]+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1] ?? '';
        expect((await given.service.get(next)).json).toMatchObject({ data: [two], source });
      }
    });

    test('its times to live are its own', async () => {
      for (const [path, most] of [
        ['/cache/notes', 20],
        ['/cache/notes/1', 40],
        ['/cache/notes/7', 10],
      ] as const) {
        await given.service.get(path);
        const status = (await given.service.get(path)).headers.get('cache-status') ?? '';
        const ttl = Number(/^EnergeX; hit; ttl=(\d+)$/.exec(status)?.[1]);
        expect(ttl).toBeLessThanOrEqual(most);
        expect(ttl).toBeGreaterThan(most * 0.9 - 8);
      }
    });

    test('its messages name it', async () => {
      const { service } = given;
      const created = await service.request('POST', '/cache/notes', { words: 'three', stars: 1 });
      expect([created.status, created.json.message]).toEqual([201, 'Note created successfully']);
      expect(created.headers.get('location')).toBe(`/cache/notes/${created.json.data.id}`);
      expect(created.json.data).toMatchObject({ words: 'three', stars: 1, updated_at: created.json.data.created_at });
      expect((await service.request('PUT', '/cache/notes/1', { stars: 4 })).json.message).toBe(
        'Note updated successfully',
      );
      expect((await service.request('DELETE', '/cache/notes/1')).json).toEqual({
        message: 'Note deleted successfully',
        noteId: 1,
        source: 'database',
      });
      expect((await service.get('/cache/notes/1')).json.message).toBe('Note not found');
      expect((await service.get('/cache/notes/x')).json.message).toBe('Invalid note ID');
      const stale = await service.request('PUT', '/cache/notes/2', { stars: 1 }, { 'if-match': '"x"' });
      expect([stale.status, stale.json.message]).toEqual([
        412,
        'The note has changed: the precondition of If-Match does not hold',
      ]);
    });

    test('its bodies are checked by its columns', async () => {
      const reply = await given.service.request('POST', '/cache/notes', { words: 'far too long', stars: 6 });
      expect([reply.status, reply.json.errors]).toEqual([
        400,
        [
          { field: 'words', message: 'words must be at most 10 characters long' },
          { field: 'stars', message: 'stars must be <= 5' },
        ],
      ]);
      const put = await given.service.request('PUT', '/cache/notes/1', { title: 'no column' });
      expect([put.status, put.json.message]).toEqual([400, 'at least one field to change is required']);
    });

    test('without an owner anyone may delete, whatever user_id says', async () => {
      expect((await given.service.request('DELETE', '/cache/notes/1', { user_id: 'nonsense' })).status).toBe(200);
    });

    test('a write invalidates its own row and list, and nothing of other resources', async () => {
      await insertPost(given.database, { id: 1 });
      const paths = [
        '/cache/notes',
        '/cache/notes?limit=5',
        '/cache/notes/1',
        '/cache/notes/2',
        '/cache/posts',
        '/cache/posts/1',
      ];
      for (const path of paths) await given.service.get(path);
      await given.service.request('PUT', '/cache/notes/1', { words: 'new' });
      const replies = await Promise.all(paths.map((path) => given.service.get(path)));
      expect(replies.map(({ json }) => json.source)).toEqual([
        'database',
        'database',
        'database',
        'cache',
        'cache',
        'cache',
      ]);
      expect(replies[2]?.json.data).toMatchObject({ words: 'new', stars: 3 });
    });

    test('wrong methods, conditional reads and idempotency keys work as they do for posts', async () => {
      const patch = await given.service.request('PATCH', '/cache/notes/1');
      expect([patch.status, patch.headers.get('allow')]).toEqual([405, 'GET, HEAD, PUT, DELETE, OPTIONS']);
      const etag = (await given.service.get('/cache/notes')).headers.get('etag') ?? '';
      expect((await given.service.get('/cache/notes', { 'if-none-match': etag })).status).toBe(304);
      const headers = { 'idempotency-key': 'key-1' };
      const body = { words: 'three', stars: 1 };
      const first = await given.service.request('POST', '/cache/notes', body, headers);
      expect((await given.service.request('POST', '/cache/notes', body, headers)).text).toBe(first.text);
      // Keys of different resources do not meet.
      const post = { title: 't', content: 'c', user_id: 1 };
      expect((await given.service.request('POST', '/cache/posts', post, headers)).status).toBe(201);
    });

    test('its writes are heard under its own names', async () => {
      const client = await connectClient(given.service.url);
      clients.push(client);
      const { data: created } = (await given.service.request('POST', '/cache/notes', { words: 'three', stars: 1 }))
        .json;
      const { data: updated } = (await given.service.request('PUT', '/cache/notes/1', { stars: 4 })).json;
      await given.service.request('DELETE', '/cache/notes/2');
      await client.hears(3);
      expect(client.heard).toEqual([
        ['note_pinned', created],
        ['note_edited', updated],
        ['note_torn', { id: 2 }],
      ]);
    });

    test.each(['note_pinned', 'note_edited', 'note_torn'])(
      'a broadcast of %s invalidates the note, and no post of the same id',
      async (event) => {
        await insertPost(given.database, { id: 1 });
        const paths = ['/cache/notes', '/cache/notes/1', '/cache/posts', '/cache/posts/1'];
        for (const path of paths) await given.service.get(path);
        await given.database.execute("UPDATE margin_notes SET words = 'outside' WHERE id = 1");
        const headers = { 'x-internal-secret': secret };
        expect(
          (await given.service.request('POST', '/internal/broadcast', { event, data: { id: 1 } }, headers)).status,
        ).toBe(200);
        const replies = await Promise.all(paths.map((path) => given.service.get(path)));
        expect(replies.map(({ json }) => json.source)).toEqual(['database', 'database', 'cache', 'cache']);
        expect(replies[1]?.json.data.words).toBe('outside');
      },
    );
  },
);
