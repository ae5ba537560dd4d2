import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { dialHttp } from '../harness/raw-http.ts';
import { eventually } from '../harness/service.ts';
import { describeService, embeddedStage, insertPost } from '../harness/stage.ts';

const environment = { LOG_REQUESTS: 'false', OUTGOING_MB: '1' };

/** What does not become much smaller: `gzip` does not look back as far as it repeats. */
const noise = randomBytes(45_000).toString('base64');

describeService('clients that are slow to take a list', { environment, on: embeddedStage }, (given) => {
  test('what they hold is bounded: the next one who asks for other bytes is told to come again', async () => {
    // More than the buffers of the sockets hold.
    for (let id = 1; id <= 400; id += 1) {
      await insertPost(given.database, { id, content: 'x'.repeat(60_000), created_at: '2025-01-01 00:00:00' });
    }
    const get = () => given.service.get('/cache/posts');
    expect((await get()).json.data).toHaveLength(400);
    const slow = await dialHttp(given.service.port);
    slow.write('GET /cache/posts HTTP/1.1\r\nHost: test\r\n\r\n');
    await once(slow, 'readable');
    // The same bytes take nothing more.
    expect((await get()).status).toBe(200);
    expect((await given.service.request('PUT', '/cache/posts/1', { title: 'changed' })).status).toBe(200);
    // Once it is loaded and once, on the fast lane, it is held.
    for (const _way of ['loaded', 'held']) {
      const refused = await get();
      expect([refused.status, refused.json.code]).toEqual([503, 'OUTGOING_FULL']);
      expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    }
    slow.destroy();
    await eventually(async () => (await get()).status === 200);
  }, 60_000);

  test('what they hold compressed is bounded as well', async () => {
    for (let id = 1; id <= 400; id += 1) {
      await insertPost(given.database, { id, content: noise, created_at: '2025-01-01 00:00:00' });
    }
    const gzip = { 'accept-encoding': 'gzip' };
    const get = (headers: Record<string, string>) => given.service.get('/cache/posts', headers);
    expect((await get(gzip)).status).toBe(200);
    await eventually(async () => {
      const { headers } = await given.service.request('HEAD', '/cache/posts', undefined, gzip);
      return headers.get('content-encoding') === 'gzip';
    }, 60_000);
    const slow = await dialHttp(given.service.port);
    slow.write('GET /cache/posts HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n');
    await once(slow, 'readable');
    expect(String(slow.read())).toMatch(/content-encoding: gzip\r\n/);
    slow.pause();
    // The same bytes take nothing more, others do.
    expect((await get(gzip)).status).toBe(200);
    expect((await get({ 'accept-encoding': 'identity' })).status).toBe(503);
    slow.destroy();
    await eventually(async () => (await get({ 'accept-encoding': 'identity' })).status === 200);
  }, 120_000);
});
