import { randomBytes } from 'node:crypto';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterEach, expect, jest, test } from '@jest/globals';
import { PreparedAnswer } from '../../src/http/prepared-answer.ts';
import { askRaw, parseReplies, type RawReply, timeless } from '../harness/raw-http.ts';
import { eventually } from '../harness/service.ts';
import { describeService, embeddedStage, insertPost, type OnStage } from '../harness/stage.ts';

const lane = jest.spyOn(PreparedAnswer.prototype, 'send');
afterEach(() => {
  lane.mockClear();
});

const decode: Record<string, (body: Buffer) => Buffer> = { br: brotliDecompressSync, gzip: gunzipSync };
const codings = ['br', 'gzip'];

/** fastify does not look at a body of no bytes, and the lane leaves it to fastify. */
const wholeWay = 'Content-Length: 0';

async function get({ service }: OnStage, path: string, headers: readonly string[], method = 'GET'): Promise<RawReply> {
  const [reply] = parseReplies(await askRaw(service.port, `${method} ${path}`, headers));
  if (reply === undefined) throw new Error('no answer');
  return reply;
}

/** Until it is answered in that coding. */
async function ready(given: OnStage, path: string, coding: string): Promise<RawReply> {
  let reply: RawReply | undefined;
  await eventually(async () => {
    reply = await get(given, path, [`Accept-Encoding: ${coding}`]);
    return reply.headers.get('content-encoding') === coding;
  });
  if (reply === undefined) throw new Error('no answer');
  return reply;
}

function decoded({ headers, body }: RawReply): { data: unknown; source: string; timestamp: string } {
  const bytes = Buffer.from(body, 'latin1');
  expect(bytes).toHaveLength(Number(headers.get('content-length')));
  const coding = headers.get('content-encoding');
  return JSON.parse((coding === undefined ? bytes : (decode[coding] ?? String)(bytes)).toString());
}

/** A row that becomes very small, one that stays large, a small one; the list has all. */
async function fillTable({ database }: OnStage): Promise<void> {
  await insertPost(database, { id: 1, content: 'x'.repeat(300) });
  await insertPost(database, { id: 2, content: 'Grüße, 世界 🎉 '.repeat(2_000) });
  await insertPost(database, { id: 3, content: randomBytes(45_000).toString('base64') });
}

const paths = ['/cache/posts/2', '/cache/posts/3', '/cache/posts', '/cache/posts?limit=2'];

const fast = { LOG_REQUESTS: 'false' };

describeService('compressed answers', { environment: fast }, (given) => {
  test.each(paths)('%s: both ways give the same bytes, in each coding and to each condition', async (path) => {
    await fillTable(given);
    for (const coding of codings) {
      const first = await ready(given, path, coding);
      const etag = first.headers.get('etag') ?? '';
      expect(etag).toMatch(new RegExp(`^"[\\w-]{22}-${coding}"$`));
      for (const condition of [[], [`If-None-Match: ${etag}`], ['If-None-Match: "other"'], ['If-None-Match: *']]) {
        for (const from of [[], ['Origin: http://localhost:5173']]) {
          const headers = [`Accept-Encoding: deflate, ${coding}`, ...from, ...condition];
          // Whoever comes from there first goes the whole way.
          await askRaw(given.service.port, `GET ${path}`, headers);
          const slow = timeless(await askRaw(given.service.port, `GET ${path}`, [...headers, wholeWay]));
          expect(timeless(await askRaw(given.service.port, `GET ${path}`, headers))).toBe(slow);
          expect(slow).toMatch(/\r\nvary: Origin, Accept-Encoding\r\n/);
        }
      }
    }
    expect(lane).toHaveBeenCalled();
  });

  test.each(paths)('%s: decodes to what is sent plain, of now', async (path) => {
    await fillTable(given);
    const { data } = decoded(await get(given, path, []));
    for (const coding of codings) {
      await ready(given, path, coding);
      for (const way of [[], [wholeWay]]) {
        const began = Date.now();
        const reply = await get(given, path, [`Accept-Encoding: ${coding}`, ...way]);
        expect([reply.status, reply.headers.get('content-encoding')]).toEqual([200, coding]);
        const answer = decoded(reply);
        expect([answer.data, answer.source]).toEqual([data, 'cache']);
        expect(Date.parse(answer.timestamp)).toBeGreaterThanOrEqual(began);
        expect(Date.parse(answer.timestamp)).toBeLessThanOrEqual(Date.now());
      }
    }
  });

  test.each(codings)('HEAD tells the length in %s, and sends nothing', async (coding) => {
    await fillTable(given);
    const full = await ready(given, '/cache/posts', coding);
    const head = await get(given, '/cache/posts', [`Accept-Encoding: ${coding}`], 'HEAD');
    expect(head.body).toBe('');
    for (const name of ['content-length', 'content-encoding', 'etag', 'vary']) {
      expect([name, head.headers.get(name)]).toEqual([name, full.headers.get(name)]);
    }
  });

  test('answers that share a hit are the same bytes', async () => {
    await fillTable(given);
    for (const path of paths) {
      const single = await ready(given, path, 'gzip');
      const answers = await Promise.all(Array.from({ length: 8 }, () => get(given, path, ['Accept-Encoding: gzip'])));
      for (const answer of answers) expect(decoded(answer).data).toEqual(decoded(single).data);
    }
  });

  test('a tag of any coding is known as long as the version is, and names what the client has', async () => {
    await fillTable(given);
    const path = '/cache/posts/2';
    const plain = (await get(given, path, [])).headers.get('etag') ?? '';
    const tags = [plain, ...codings.map((coding) => plain.replace(/"$/, `-${coding}"`))];
    for (const accepted of [[], ['Accept-Encoding: gzip, br'], ['Accept-Encoding: gzip, br', wholeWay]]) {
      for (const tag of tags) {
        for (const header of [tag, `W/${tag}`, `"x", ${tag}`]) {
          const reply = await get(given, path, [...accepted, `If-None-Match: ${header}`]);
          expect([header, reply.status, reply.headers.get('etag'), reply.body]).toEqual([header, 304, tag, '']);
          expect(reply.headers.get('vary')).toBe('Origin, Accept-Encoding');
          expect(reply.headers.get('content-encoding')).toBeUndefined();
        }
      }
    }
    await given.service.request('PUT', path, { title: 'changed' });
    for (const tag of tags) {
      expect((await get(given, path, ['Accept-Encoding: gzip, br', `If-None-Match: ${tag}`])).status).toBe(200);
    }
  });

  test('a tag of a coding that is not accepted is one of another client: 200', async () => {
    await fillTable(given);
    const { headers } = await ready(given, '/cache/posts/2', 'br');
    const condition = `If-None-Match: ${headers.get('etag')}`;
    expect((await get(given, '/cache/posts/2', ['Accept-Encoding: gzip', condition])).status).toBe(200);
  });

  test('a write takes the tag of any coding, of the version that is there', async () => {
    await fillTable(given);
    const path = '/cache/posts/2';
    for (const coding of codings) {
      const etag = (await ready(given, path, coding)).headers.get('etag') ?? '';
      const put = () => given.service.request('PUT', path, { title: `by ${coding}` }, { 'if-match': etag });
      expect((await put()).status).toBe(200);
      expect((await put()).status).toBe(412);
    }
    const etag = (await ready(given, path, 'br')).headers.get('etag') ?? '';
    const removed = await given.service.request('DELETE', path, {}, { 'if-match': etag });
    expect(removed.status).toBe(200);
  });

  test('what is small is never compressed, nor does it depend on the client', async () => {
    await fillTable(given);
    for (let time = 0; time < 5; time += 1) {
      const reply = await get(given, '/cache/posts/1', ['Accept-Encoding: br, gzip']);
      expect([reply.headers.get('content-encoding'), reply.headers.get('vary')]).toEqual([undefined, 'Origin']);
    }
  });

  test.each([
    ['nothing said', []],
    ['no coding wanted', ['Accept-Encoding:']],
    ['identity wanted', ['Accept-Encoding: identity']],
    ['all refused', ['Accept-Encoding: identity;q=0, *;q=0']],
    ['only an unknown one', ['Accept-Encoding: zstd']],
  ])('%s: as it is, though it is there compressed', async (_, headers) => {
    await fillTable(given);
    for (const coding of codings) await ready(given, '/cache/posts/2', coding);
    for (const way of [[], [wholeWay]]) {
      const reply = await get(given, '/cache/posts/2', [...headers, ...way]);
      expect([reply.status, reply.headers.get('content-encoding')]).toEqual([200, undefined]);
      expect(reply.headers.get('vary')).toBe('Origin, Accept-Encoding');
      expect(decoded(reply).source).toBe('cache');
    }
  });

  test('what was loaded is sent as it is, and varies as well', async () => {
    await fillTable(given);
    const reply = await get(given, '/cache/posts', ['Accept-Encoding: br']);
    expect([reply.headers.get('content-encoding'), reply.headers.get('vary')]).toEqual([
      undefined,
      'Origin, Accept-Encoding',
    ]);
    expect(decoded(reply).source).toBe('database');
  });

  test('a header that is there twice says what both say', async () => {
    await fillTable(given);
    await ready(given, '/cache/posts/2', 'gzip');
    const reply = await get(given, '/cache/posts/2', ['Accept-Encoding: gzip;q=0', 'Accept-Encoding: br;q=0']);
    expect(reply.headers.get('content-encoding')).toBeUndefined();
    const accepted = await get(given, '/cache/posts/2', ['Accept-Encoding: br;q=0', 'Accept-Encoding: gzip']);
    expect(accepted.headers.get('content-encoding')).toBe('gzip');
  });

  test('a change is seen by the next read, whatever was compressed', async () => {
    await fillTable(given);
    for (const title of ['first', 'second']) {
      await ready(given, '/cache/posts', 'br');
      await given.service.request('PUT', '/cache/posts/3', { title });
      const reply = await get(given, '/cache/posts', ['Accept-Encoding: br']);
      expect(JSON.stringify(decoded(reply).data)).toContain(`"title":"${title}"`);
    }
  });
});

describeService('one coding alone', { environment: { COMPRESSION: 'gzip', ...fast } }, (given) => {
  test('is what is sent, also to who likes another better', async () => {
    await fillTable(given);
    await ready(given, '/cache/posts', 'gzip');
    const reply = await get(given, '/cache/posts', ['Accept-Encoding: gzip;q=0.1, br']);
    expect(reply.headers.get('content-encoding')).toBe('gzip');
  });
});

describeService('no compression', { environment: { COMPRESSION: 'off', ...fast }, on: embeddedStage }, (given) => {
  test('all is sent as it is, to everyone the same', async () => {
    await fillTable(given);
    for (let time = 0; time < 5; time += 1) {
      const reply = await get(given, '/cache/posts', ['Accept-Encoding: br, gzip']);
      expect([reply.headers.get('content-encoding'), reply.headers.get('vary')]).toEqual([undefined, 'Origin']);
    }
  });
});

const logged = { LOG_REQUESTS: 'true', COMPRESSION_LEAST_BYTES: '200' };

describeService('compressed answers without the fast lane', { environment: logged }, (given) => {
  test('are compressed as well, from the size on that is set', async () => {
    await fillTable(given);
    for (const path of ['/cache/posts', '/cache/posts/1']) {
      for (const coding of codings) expect(decoded(await ready(given, path, coding)).source).toBe('cache');
    }
    expect(lane).not.toHaveBeenCalled();
  });
});
