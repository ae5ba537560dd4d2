import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { posts } from '../../src/resources/posts/posts.ts';
import { defineResource } from '../../src/resources/resource.ts';
import { databases, type OwnDatabase } from '../harness/databases.ts';
import { addUser, always, openResource, prepareTables } from '../harness/resources.ts';

/** What a definition leaves out. `test/http/token-writes.test.ts` has the rest. */

let own: OwnDatabase;
let ada: string;
let grace: string;

beforeAll(async () => {
  const [first] = databases;
  if (first === undefined) throw new Error('there is no database');
  own = await first.open();
  ada = await prepareTables(own.database);
  grace = await addUser(own.database, 'Grace');
  await own.database.execute("UPDATE users SET role = 'admin'");
});
beforeEach(() => own.database.execute('DELETE FROM posts').then(() => undefined));
afterAll(() => own.remove());

test('without `owners` there are no administrators, and no user who is not there', async () => {
  const { owners: _owners, ...definition } = posts;
  const { writer, cache } = openResource(own.database, defineResource(definition));
  const { id } = await writer.create({ title: 't', content: 'c' }, undefined, ada);
  await expect(writer.update(id, { title: 'u' }, always, grace)).rejects.toMatchObject({ code: 'NOT_OWNER' });
  await expect(writer.remove(id, undefined, always, '4711')).rejects.toMatchObject({ code: 'NOT_OWNER' });
  expect(JSON.parse(await writer.update(id, { title: 'u' }, always, ada))).toMatchObject({ title: 'u' });
  await expect(writer.create({ title: 't', content: 'c' }, undefined, '4711')).rejects.toMatchObject({
    code: 'UNKNOWN_REFERENCE',
  });
  await cache.close();
});

test('without `owner` every user may write every row', async () => {
  const { owners: _owners, owner: _owner, ...definition } = posts;
  const { writer, cache } = openResource(own.database, defineResource(definition));
  const { id } = await writer.create({ title: 't', content: 'c', user_id: ada }, undefined, grace);
  expect(JSON.parse(await writer.update(id, { title: 'u' }, always, grace))).toMatchObject({ title: 'u' });
  await writer.remove(id, undefined, always, '4711');
  await cache.close();
});
