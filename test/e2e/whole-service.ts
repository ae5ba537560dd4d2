import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { eventually, type Reply } from '../harness/service.ts';
import type { ServiceProcess } from '../harness/service-process.ts';

/**
 * Everything that two instances do together, once: reads, writes, pages, conditional requests, idempotency keys, broadcasts,
 * live events on both. A database with user 1 and no posts is needed.
 */
export async function useEverything([one, two]: readonly ServiceProcess[], secret: string): Promise<void> {
  if (one === undefined || two === undefined) throw new Error('two instances are needed');
  await Promise.all([one, two].map(healthy));
  const clients = await Promise.all([one, two].map(({ url }) => connectClient(url)));
  try {
    await writeAndRead(one, two, clients);
    await tellOfOthers(one, two, secret, clients);
  } finally {
    for (const client of clients) client.close();
  }
  await Promise.all([one, two].map(healthy));
}

async function healthy(instance: ServiceProcess): Promise<void> {
  await eventually(async () => (await instance.get('/cache/health')).status === 200, 20_000);
}

/** Behind a start or a failover writes are refused until all instances know which Redis is in use. */
async function accepted(write: () => Promise<Reply>): Promise<Reply> {
  let answer = await write();
  await eventually(async () => {
    if (answer.status === 503) answer = await write();
    return answer.status !== 503;
  }, 20_000);
  return answer;
}

async function cached(instance: ServiceProcess, path: string): Promise<Reply> {
  let answer = await instance.get(path);
  await eventually(async () => {
    answer = await instance.get(path);
    return answer.json.source === 'cache';
  });
  return answer;
}

async function writeAndRead(one: ServiceProcess, two: ServiceProcess, clients: readonly LiveClient[]): Promise<void> {
  const post = { title: 'first', content: 'c', user_id: 1 };
  const key = { 'idempotency-key': randomUUID() };
  const created = await accepted(() => one.request('POST', '/cache/posts', post, key));
  expect(created.status).toBe(201);
  const again = await two.request('POST', '/cache/posts', post, key);
  expect([again.status, again.json.data.id]).toEqual([201, created.json.data.id]);
  await Promise.all(clients.map((client) => client.hears(1)));
  const path = `/cache/posts/${created.json.data.id}`;
  for (const each of [two, one]) {
    const answer = await cached(each, path);
    expect(answer.json.data.title).toBe('first');
    const tag = answer.headers.get('etag') ?? '';
    expect((await each.get(path, { 'if-none-match': tag })).status).toBe(304);
    expect((await each.get('/cache/posts/999999')).status).toBe(404);
    expect((await cached(each, '/cache/posts')).json.data).toHaveLength(1);
    expect((await cached(each, '/cache/posts?limit=1')).json.data).toHaveLength(1);
  }
  const updated = await accepted(() => two.request('PUT', path, { title: 'second' }));
  expect(updated.status).toBe(200);
  for (const each of [one, two]) {
    expect((await each.get(path)).json.data.title).toBe('second');
    expect((await each.get('/cache/posts')).json.data[0].title).toBe('second');
    expect((await each.get('/cache/posts?limit=1')).json.data[0].title).toBe('second');
  }
  expect((await one.request('PUT', path, { title: 'x' }, { 'if-match': '"other"' })).status).toBe(412);
  await Promise.all(clients.map((client) => client.hears(2)));
  expect((await accepted(() => two.request('DELETE', path, { user_id: 1 }))).status).toBe(200);
  expect((await one.get(path)).status).toBe(404);
  expect((await one.get('/cache/posts')).json.data).toEqual([]);
  await Promise.all(clients.map((client) => client.hears(3)));
  for (const { heard } of clients) {
    expect(heard.map(([event]) => event)).toEqual(['new_post', 'post_updated', 'post_deleted']);
  }
}

async function tellOfOthers(
  one: ServiceProcess,
  two: ServiceProcess,
  secret: string,
  clients: readonly LiveClient[],
): Promise<void> {
  const broadcast = { event: 'hello', data: { to: 'all' } };
  const answer = await accepted(() =>
    one.request('POST', '/internal/broadcast', broadcast, { 'x-internal-secret': secret }),
  );
  expect(answer.status).toBe(200);
  await Promise.all(clients.map((client) => client.hears(4)));
  for (const { heard } of clients) expect(heard.at(-1)).toEqual(['hello', { to: 'all' }]);
  expect((await two.get('/internal/stats', { 'x-internal-secret': secret })).status).toBe(200);
}
