import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import { type CacheEvent, cacheChannel } from '../../src/cache/channels.ts';
import { OutcomeUnknown } from '../../src/cache/write-fence.ts';
import type { Database } from '../../src/database/database.ts';
import { SqliteDatabase } from '../../src/database/sqlite.ts';
import { entityTag } from '../../src/resources/meta.ts';
import { dial, lockIsAwaited, nameOf, openMysql, openOn } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { addPost, addUser, always, openResource, prepareTables } from '../harness/resources.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';

describe.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'writing to %s beside others',
  (_name, server) => {
    let leaks: LeakCheck;
    let own: Awaited<ReturnType<typeof openOn>>;
    let proxy: TcpProxy;
    let database: Database;
    let rival: Connection;
    let userId: string;
    let opened: ReturnType<typeof openResource>;

    beforeAll(async () => {
      leaks = trackLeaks();
      own = await openOn(server);
      userId = await prepareTables(own.database);
      rival = await dial(own.schema);
      proxy = await startProxy(own.schema);
      database = openMysql(own.schema, { commitTimeoutMs: 300 }, proxy);
      opened = openResource(database);
    });
    afterEach(async () => {
      await rival.query('ROLLBACK');
      opened.events.length = 0;
    });
    afterAll(async () => {
      await opened.cache.close();
      await database.close();
      await proxy.close();
      rival.destroy();
      await own.remove();
      await leaks.check();
    });

    const read = async (id: string): Promise<string> => (await opened.reader.readItem(id)).value.toString();

    test.each(['change', 'delete'])('to %s: whose row it is, is asked of the locked row', async (action) => {
      const id = await addPost(own.database, userId, 'old');
      const heir = await addUser(own.database, `Heir to ${action}`);
      await rival.query('START TRANSACTION');
      await rival.query('UPDATE posts SET user_id = ? WHERE id = ?', [heir, id]);
      const writing =
        action === 'change'
          ? opened.writer.update(id, { title: 'still mine' }, always, userId)
          : opened.writer.remove(id, undefined, always, userId);
      const failing = writing.catch((error: unknown) => error);
      await lockIsAwaited(rival);
      await rival.query('COMMIT');
      expect(await failing).toMatchObject({ code: 'NOT_OWNER' });
      expect(await own.database.query('SELECT title FROM posts WHERE id = ?', [id])).toEqual([['old']]);
    });

    test('an update waits for another transaction, and its precondition sees what that one committed', async () => {
      const id = await addPost(own.database, userId, 'old');
      const tag = entityTag(await read(id));
      await rival.query('START TRANSACTION');
      await rival.query("UPDATE posts SET title = 'theirs' WHERE id = ?", [id]);
      const failing = opened.writer
        .update(id, { content: 'ours' }, (etag) => etag === tag)
        .catch((error: unknown) => error);
      await lockIsAwaited(rival);
      await rival.query('COMMIT');
      expect(await failing).toMatchObject({ code: 'PRECONDITION_FAILED' });
      expect(await own.database.query('SELECT title, content FROM posts WHERE id = ?', [id])).toEqual([
        ['theirs', 'content'],
      ]);
    });

    test('an update waits for no lock of the author that the post shows', async () => {
      const id = await addPost(own.database, userId, 'old');
      await rival.query('START TRANSACTION');
      await rival.query('SELECT * FROM users WHERE id = ? FOR UPDATE', [userId]);
      expect(JSON.parse(await opened.writer.update(id, { title: 'new' }, always))).toMatchObject({ title: 'new' });
    });

    test('an update that waited answers what both transactions made of the row', async () => {
      const id = await addPost(own.database, userId, 'old');
      await rival.query('START TRANSACTION');
      await rival.query("UPDATE posts SET title = 'theirs' WHERE id = ?", [id]);
      const updating = opened.writer.update(id, { content: 'ours' }, always);
      await lockIsAwaited(rival);
      await rival.query('COMMIT');
      expect(JSON.parse(await updating)).toMatchObject({ title: 'theirs', content: 'ours' });
    });

    test('a post that is deleted while an update waits for it is not found', async () => {
      const id = await addPost(own.database, userId, 'old');
      await rival.query('START TRANSACTION');
      await rival.query('DELETE FROM posts WHERE id = ?', [id]);
      const failing = opened.writer.update(id, { content: 'ours' }, always).catch((error: unknown) => error);
      await lockIsAwaited(rival);
      await rival.query('COMMIT');
      expect(await failing).toMatchObject({ code: 'NOT_FOUND' });
    });

    test('a post whose author is deleted at that moment has an unknown author', async () => {
      const { insertId } = await own.database.execute(
        "INSERT INTO users (name, email, password) VALUES ('n', 'leaving', '!')",
      );
      await rival.query('START TRANSACTION');
      await rival.query('DELETE FROM users WHERE id = ?', [insertId]);
      const failing = opened.writer
        .create({ title: 't', content: 'c', user_id: insertId })
        .catch((error: unknown) => error);
      await lockIsAwaited(rival);
      await rival.query('COMMIT');
      expect(await failing).toMatchObject({ code: 'UNKNOWN_REFERENCE' });
    });

    test('a COMMIT that is not answered: the outcome is unknown, nobody is told, and readers go to the database', async () => {
      const id = await addPost(own.database, userId, 'old');
      await read(id);
      const onFence = (message: unknown): void => {
        if ((message as CacheEvent).type === 'fence') proxy.blackHole();
      };
      cacheChannel.subscribe(onFence);
      const failing = opened.writer.update(id, { title: 'perhaps' }, always);
      await expect(failing).rejects.toMatchObject({ code: 'COMMIT_UNKNOWN', cause: expect.any(OutcomeUnknown) });
      cacheChannel.unsubscribe(onFence);
      expect(opened.events).toEqual([]);
      await proxy.restore();
      expect((await opened.reader.readItem(id)).outcome).toEqual({ kind: 'bypass', reason: 'fenced' });
    });
  },
);

test('a database that takes the new row away again is an error, and nothing is told', async () => {
  const database = new SqliteDatabase({ location: ':memory:', queueLimit: 10 });
  const userId = await prepareTables(database);
  await database.execute('CREATE TRIGGER vanish AFTER INSERT ON posts BEGIN DELETE FROM posts WHERE id = NEW.id; END');
  const { writer, events, cache } = openResource(database);
  await expect(writer.create({ title: 't', content: 'c', user_id: userId })).rejects.toThrow(
    'post 1 is gone inside its own transaction',
  );
  expect(events).toEqual([]);
  await cache.close();
  await database.close();
});
