import { beforeEach, describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { httpDocument } from '../harness/openapi-check.ts';
import { ada, describeService, embeddedStage, grace, insertPost, type OnStage } from '../harness/stage.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { bearer, inSeconds, jwtSecret, makeKeyPair, sign, startKeyServer } from '../harness/tokens.ts';

/** Writes where tokens say who asks. */

const environment = { JWT_SECRET: jwtSecret };
const admin = 3;
const post = { title: 'Title', content: 'Content' };

async function assignRoles({ database }: OnStage): Promise<void> {
  await database.execute("UPDATE users SET role = 'user'");
  await database.execute("INSERT INTO users (id, name, email, password, role) VALUES (3, 'R', 'r@x', 'p', 'admin')");
}

describeService('writes with a token', { environment }, (given) => {
  const stored = async () =>
    (await given.database.query('SELECT id, title, user_id FROM posts ORDER BY id')).map((row) => row.map(String));
  const as = async (user: number | string, method: string, path: string, body?: unknown, more = {}) =>
    given.service.request(method, path, body, { ...(await bearer(user)), ...more });

  beforeEach(async () => {
    await assignRoles(given);
    await insertPost(given.database, { id: 10 });
  });

  test.each([
    ['POST', '/cache/posts', { ...post, user_id: ada.id }],
    ['PUT', '/cache/posts/10', { title: 'New' }],
    ['DELETE', '/cache/posts/10', { user_id: ada.id }],
  ])('%s without a token, or with one that is not good, is 401 and changes nothing', async (method, path, body) => {
    const before = await stored();
    const none = await given.service.request(method, path, body);
    expect([none.status, none.json.code, none.headers.get('www-authenticate')]).toEqual([
      401,
      'TOKEN_MISSING',
      'Bearer realm="EnergeX"',
    ]);
    const old = await given.service.request(method, path, body, await bearer(ada.id, { exp: inSeconds(-60) }));
    expect([old.status, old.json.code, old.headers.get('www-authenticate')]).toEqual([
      401,
      'TOKEN_INVALID',
      'Bearer realm="EnergeX", error="invalid_token", error_description="The bearer token is not valid: it has expired"',
    ]);
    const forged = await sign({ sub: '1' }, { key: Buffer.from('another secret') });
    expect((await given.service.request(method, path, body, { authorization: `Bearer ${forged}` })).status).toBe(401);
    expect(await stored()).toEqual(before);
  });

  test('who has no token is not told what is wrong with the rest', async () => {
    for (const [method, path, body] of [
      ['POST', '/cache/posts', '{'],
      ['PUT', '/cache/posts/x', { title: '' }],
      ['DELETE', '/cache/posts/4711', undefined],
    ] as const) {
      expect((await given.service.request(method, path, body)).status).toBe(401);
    }
  });

  test('reads need none', async () => {
    expect((await given.service.get('/cache/posts/10')).status).toBe(200);
    expect((await given.service.get('/cache/posts', { authorization: 'Bearer nonsense' })).status).toBe(200);
  });

  test.each([{}, { user_id: grace.id }, { user_id: 'nonsense' }, { user_id: 4711 }])(
    'a new post is the user of the token, with %j in the body as well',
    async (more) => {
      const created = await as(ada.id, 'POST', '/cache/posts', { ...post, ...more });
      expect([created.status, created.json.data.user_id, created.json.data.user]).toEqual([201, ada.id, ada]);
    },
  );

  test('the owner changes and deletes, whoever the body names', async () => {
    const changed = await as(ada.id, 'PUT', '/cache/posts/10', { title: 'New', user_id: grace.id });
    expect([changed.status, changed.json.data.title, changed.json.data.user_id]).toEqual([200, 'New', ada.id]);
    const deleted = await as(ada.id, 'DELETE', '/cache/posts/10', { user_id: grace.id });
    expect([deleted.status, await stored()]).toEqual([200, []]);
  });

  test('others do not: 403, and the post stays as it is', async () => {
    for (const body of [{ title: 'Mine', user_id: grace.id }, { title: 'Mine' }, { title: 'Title 10' }]) {
      const changed = await as(grace.id, 'PUT', '/cache/posts/10', body);
      expect([changed.status, changed.json.code, changed.json.message]).toEqual([
        403,
        'NOT_OWNER',
        'Only the owner may change this post',
      ]);
    }
    for (const body of [undefined, { user_id: ada.id }, { user_id: grace.id }]) {
      const deleted = await as(grace.id, 'DELETE', '/cache/posts/10', body);
      expect([deleted.status, deleted.json.message]).toEqual([403, 'Only the owner may delete this post']);
    }
    // Not even whether an entity tag holds is told.
    expect((await as(grace.id, 'DELETE', '/cache/posts/10', {}, { 'if-match': '"x"' })).status).toBe(403);
    expect(await stored()).toEqual([['10', 'Title 10', '1']]);
  });

  test('an administrator changes and deletes all', async () => {
    expect((await as(admin, 'PUT', '/cache/posts/10', { title: 'New' })).json.data).toMatchObject({
      title: 'New',
      user_id: ada.id,
    });
    expect((await as(admin, 'DELETE', '/cache/posts/10')).status).toBe(200);
  });

  test('the role is that of the database at that moment, and none that the token claims', async () => {
    const claims = { role: 'admin', roles: ['admin'], admin: true };
    const headers = await bearer(grace.id, claims);
    expect((await given.service.request('DELETE', '/cache/posts/10', {}, headers)).status).toBe(403);
    for (const role of ['Admin', 'admin ', 'administrator', '']) {
      await given.database.execute('UPDATE users SET role = ? WHERE id = 2', [role]);
      expect((await given.service.request('DELETE', '/cache/posts/10', {}, headers)).status).toBe(403);
    }
    await given.database.execute("UPDATE users SET role = 'admin' WHERE id = 2");
    expect((await given.service.request('DELETE', '/cache/posts/10', {}, headers)).status).toBe(200);
  });

  test('a token of nobody is 401, whatever it is for', async () => {
    for (const [method, path, body] of [
      ['POST', '/cache/posts', post],
      ['PUT', '/cache/posts/10', { title: 'New' }],
      ['DELETE', '/cache/posts/10', undefined],
    ] as const) {
      for (const nobody of [4711, '18446744073709551615', '9223372036854775808']) {
        const reply = await as(nobody, method, path, body);
        expect([reply.status, reply.json.code]).toEqual([401, 'USER_UNKNOWN']);
        expect(reply.headers.get('www-authenticate')).toMatch(/^Bearer realm="EnergeX", error="invalid_token"/);
      }
    }
    expect(await stored()).toEqual([['10', 'Title 10', '1']]);
  });

  test('404, 412 and 400 are as they are without tokens', async () => {
    expect((await as(ada.id, 'PUT', '/cache/posts/11', { title: 'New' })).status).toBe(404);
    expect((await as(ada.id, 'DELETE', '/cache/posts/11')).status).toBe(404);
    expect((await as(ada.id, 'PUT', '/cache/posts/10', { title: 'New' }, { 'if-match': '"x"' })).status).toBe(412);
    const invalid = await as(ada.id, 'POST', '/cache/posts', { title: 'T' });
    expect([invalid.status, invalid.json.errors]).toEqual([
      400,
      [{ field: 'content', message: 'content is required' }],
    ]);
  });

  test('an idempotency key is the same for the same user only', async () => {
    const key = { 'idempotency-key': 'key' };
    const first = await as(ada.id, 'POST', '/cache/posts', post, key);
    const again = await as(ada.id, 'POST', '/cache/posts', { ...post, user_id: grace.id }, key);
    expect([again.status, again.text, again.headers.get('idempotent-replayed')]).toEqual([201, first.text, 'true']);
    expect((await as(grace.id, 'POST', '/cache/posts', post, key)).json.code).toBe('IDEMPOTENCY_KEY_REUSED');
    // A token of nobody takes no key.
    expect((await as(4711, 'POST', '/cache/posts', post, { 'idempotency-key': 'other' })).status).toBe(401);
    expect((await as(ada.id, 'POST', '/cache/posts', post, { 'idempotency-key': 'other' })).status).toBe(201);
  });
});

describeService('with a key set', { on: embeddedStage }, (given) => {
  const stops = stopAfterEach();

  test('the server of the keys that is away is 503, and no reason to log in again', async () => {
    await insertPost(given.database, { id: 10 });
    const pair = await makeKeyPair('k');
    const keys = await startKeyServer([pair]);
    stops.push(keys.stop);
    const service = await given.stage.beside({ environment: { JWT_JWKS_URL: keys.url } });
    const token = await sign({ sub: ada.id }, { alg: 'RS256', kid: 'k', key: pair.privateKey });
    const headers = { authorization: `Bearer ${token}` };
    keys.answer((_request, response) => void response.writeHead(500).end());
    const away = await service.request('PUT', '/cache/posts/10', { title: 'New' }, headers);
    expect([away.status, away.json.code, away.headers.get('retry-after')]).toEqual([
      503,
      'TOKEN_KEYS_UNAVAILABLE',
      '1',
    ]);
    keys.publish([pair]);
    expect((await service.request('PUT', '/cache/posts/10', { title: 'New' }, headers)).status).toBe(200);
  });
});

describe('the OpenAPI document', () => {
  test('is another one where writes need a token', async () => {
    const document = httpDocument(undefined, 'token');
    expect((await new Validator().validate(httpDocument(undefined, 'token'))).errors).toBeUndefined();
    const told = (path: string, method: string) => Object(document.paths[path]?.[method]);
    for (const [path, method] of [
      ['/cache/posts', 'post'],
      ['/cache/posts/{id}', 'put'],
      ['/cache/posts/{id}', 'delete'],
    ] as const) {
      const { security, responses } = told(path, method);
      expect(security).toEqual([{ userToken: [] }]);
      expect(responses[401].description).toContain('`TOKEN_MISSING`');
      if (method !== 'post') expect(responses[403].description).toContain('`NOT_OWNER`');
    }
    expect(told('/cache/posts', 'get').security).toBeUndefined();
    expect(Object(document.components.schemas['PostCreate']).required).toEqual(['title', 'content']);
    expect(JSON.stringify(httpDocument())).not.toContain('userToken');
  });
});

describeService('the document that is served', { environment, on: embeddedStage }, (given) => {
  test('is that one', async () => {
    expect((await given.service.get('/openapi.json')).json.paths).toEqual(httpDocument(undefined, 'token').paths);
  });
});
