import { METHODS } from 'node:http';
import { expect, test } from '@jest/globals';
import { exchange } from '../harness/raw-http.ts';
import { describeService, embeddedStage, insertPost } from '../harness/stage.ts';

/** What HTTP asks for around the resources; no backend has a part in it. */

const secret = 'shared secret';
const origins = ['http://localhost:5173', 'https://app.example.com'];
const environment = { REALTIME_API_SECRET: secret, FRONTEND_URL: origins.join(',') };
const routes = [
  ['/cache/posts', ['GET', 'HEAD', 'POST', 'OPTIONS']],
  ['/cache/posts/1', ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']],
  ['/cache/health', ['GET', 'HEAD', 'OPTIONS']],
  ['/internal/broadcast', ['POST', 'OPTIONS']],
] as const;

describeService('methods and paths', { on: embeddedStage, environment }, (given) => {
  test.each(routes)(
    '%s: every other method is 405 and Allow names those there are, whatever the body is',
    async (path, allowed) => {
      const others = METHODS.filter((method) => method !== 'CONNECT' && !allowed.some((each) => each === method));
      expect(others.length).toBeGreaterThan(25);
      for (const method of others) {
        const request = `${method} ${path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n{`;
        const [reply] = await exchange(given.service.port, request);
        expect([method, reply?.status, reply?.headers.get('allow')]).toEqual([method, 405, allowed.join(', ')]);
        expect(reply?.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
        if (method !== 'HEAD') expect(JSON.parse(reply?.body ?? '').message).toBe('Method not allowed');
      }
    },
  );

  test.each(routes)('%s: OPTIONS that is no preflight is 204 with Allow', async (path, allowed) => {
    const reply = await given.service.request('OPTIONS', path);
    expect([reply.status, reply.headers.get('allow'), reply.text]).toEqual([204, allowed.join(', '), '']);
  });

  test.each([
    '/',
    '/cache',
    '/cache/post',
    '/cache/posts/1/comments',
    '/cache//posts',
    '/CACHE/posts',
    '/internal',
    '/cache/health/x',
  ])('%s is 404 for every method, whatever the body is', async (path) => {
    const asked = [
      await given.service.get(path),
      await given.service.request('OPTIONS', path),
      await given.service.request('PROPFIND', path),
      await given.service.request('POST', path, '{'),
      await given.service.request('PUT', path, 'text', { 'content-type': 'text/plain' }),
      await given.service.request('DELETE', path, { user_id: 1 }),
      await given.service.request('POST', path, 'x'.repeat(300 * 1024)),
    ];
    for (const reply of asked) {
      expect(reply.status).toBe(404);
      expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(reply.json).toMatchObject({ code: 'ROUTE_NOT_FOUND', message: 'Route not found' });
    }
  });
});

describeService('bodies', { on: embeddedStage, environment }, (given) => {
  const withBody = [
    ['POST', '/cache/posts'],
    ['PUT', '/cache/posts/1'],
    ['DELETE', '/cache/posts/1'],
    ['POST', '/internal/broadcast'],
  ] as const;

  test.each(withBody)('%s %s: a body above 256 KB is 413, with and without Content-Length', async (method, path) => {
    await insertPost(given.database, { id: 1 });
    const body = JSON.stringify({ title: 't', content: 'x'.repeat(300 * 1024), user_id: 1, event: 'e', data: 1 });
    const headers = { 'x-internal-secret': secret, 'content-type': 'application/json' };
    const known = await given.service.request(method, path, body, headers);
    expect([known.status, known.json.message]).toEqual([413, 'The body is larger than 256 KB']);
    const stream = new Blob([body]).stream();
    const chunked = await fetch(given.service.url + path, { method, headers, body: stream, duplex: 'half' });
    expect([chunked.status, await chunked.json()]).toEqual([413, expect.objectContaining({ code: 'BODY_TOO_LARGE' })]);
    expect(await given.database.query('SELECT title FROM posts')).toEqual([['Title 1']]);
  });

  test('a body of 256 KB to the byte is read; one byte more is not', async () => {
    const fill = (bytes: number): string => {
      const empty = JSON.stringify({ title: 't', content: 'c', user_id: 1, more: '' });
      return empty.replace('"more":""', `"more":"${'x'.repeat(bytes - empty.length)}"`);
    };
    expect((await given.service.request('POST', '/cache/posts', fill(262_144))).status).toBe(201);
    expect((await given.service.request('POST', '/cache/posts', fill(262_145))).status).toBe(413);
  });

  test.each(withBody)('%s %s: a body of another type is 415', async (method, path) => {
    await insertPost(given.database, { id: 1 });
    const types = [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonx',
      'text/json',
      'nonsense',
    ];
    for (const type of types) {
      const headers = { 'content-type': type, 'x-internal-secret': secret };
      const reply = await given.service.request(method, path, '{"title":"t","content":"c"}', headers);
      expect([type, reply.status, reply.json.message]).toEqual([type, 415, 'The body must be application/json']);
    }
    expect((await given.service.get('/cache/posts/1')).json.data.title).toBe('Title 1');
  });

  test('a body without a type is 415', async () => {
    const request = 'POST /cache/posts HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}';
    const [reply] = await exchange(given.service.port, request);
    expect([reply?.status, JSON.parse(reply?.body ?? '').message]).toEqual([415, 'The body must be application/json']);
  });

  test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset=UTF-8'])(
    '%s is read',
    async (type) => {
      const body = { title: 't', content: 'ü', user_id: 1 };
      const reply = await given.service.request('POST', '/cache/posts', body, { 'content-type': type });
      expect([reply.status, reply.json.data.content]).toEqual([201, 'ü']);
    },
  );
});

describeService('headers of every answer', { on: embeddedStage, environment }, (given) => {
  const asked: readonly (readonly [string, string, unknown])[] = [
    ['GET', '/cache/posts', undefined],
    ['GET', '/cache/posts/1', undefined],
    ['GET', '/cache/posts/7', undefined],
    ['GET', '/cache/posts/abc', undefined],
    ['GET', '/cache/posts?limit=0', undefined],
    ['GET', '/cache/health', undefined],
    ['GET', '/nowhere', undefined],
    ['POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 }],
    ['POST', '/cache/posts', { title: 't', content: 'c', user_id: 99 }],
    ['POST', '/cache/posts', '{'],
    ['PATCH', '/cache/posts', undefined],
    ['PUT', '/cache/posts/1', { title: 'new' }],
    ['DELETE', '/cache/posts/1', { user_id: 2 }],
    ['POST', '/internal/broadcast', {}],
    ['OPTIONS', '/cache/posts', undefined],
  ];

  test('nosniff and the other protections, and no word of what the service is made of', async () => {
    await insertPost(given.database, { id: 1 });
    for (const [method, path, body] of asked) {
      const { headers, status } = await given.service.request(method, path, body);
      expect([method, path, headers.get('x-frame-options')]).toEqual([method, path, 'DENY']);
      if (status >= 400) {
        const kept = headers.get('content-type')?.includes('problem') === true ? 'no-store' : null;
        expect([method, path, headers.get('cache-control')]).toEqual([method, path, kept]);
      }
      expect([method, path, headers.get('x-content-type-options')]).toEqual([method, path, 'nosniff']);
      expect(headers.get('content-security-policy')).toBe("default-src 'none';frame-ancestors 'none'");
      expect(headers.get('cross-origin-resource-policy')).toBe('cross-origin');
      expect(headers.get('x-powered-by') ?? headers.get('server')).toBeNull();
      expect(headers.get('vary')).toMatch(/\bOrigin\b/);
    }
  });

  test.each(origins)('%s may read every answer, errors included, and its headers', async (origin) => {
    await insertPost(given.database, { id: 1 });
    for (const [method, path, body] of asked) {
      const { headers } = await given.service.request(method, path, body, { origin });
      expect([method, path, headers.get('access-control-allow-origin')]).toEqual([method, path, origin]);
      expect(headers.get('access-control-allow-credentials')).toBe('true');
      expect(headers.get('access-control-expose-headers')).toBe(
        'ETag, Cache-Status, Link, Location, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate, Idempotent-Replayed',
      );
    }
  });

  test.each([
    'http://evil.example',
    'http://localhost:5174',
    'https://localhost:5173',
    'https://app.example.com.evil.example',
    'https://evil.example/https://app.example.com',
    'https://app.example.com:444',
    'https://sub.app.example.com',
    'HTTPS://APP.EXAMPLE.COM',
    'null',
  ])('a page of %s may read none', async (origin) => {
    await insertPost(given.database, { id: 1 });
    for (const [method, path, body] of asked) {
      const { headers } = await given.service.request(method, path, body, { origin });
      expect([method, path, headers.get('access-control-allow-origin')]).toEqual([method, path, null]);
    }
  });

  test.each(routes.map(([path]) => path))(
    '%s: the preflight of an allowed origin says what may be sent',
    async (path) => {
      const asking = {
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'content-type, if-match',
      };
      const allowed = await given.service.request('OPTIONS', path, undefined, { origin: origins[1] ?? '', ...asking });
      expect([allowed.status, allowed.text]).toEqual([204, '']);
      expect(allowed.headers.get('access-control-allow-origin')).toBe(origins[1]);
      expect(allowed.headers.get('access-control-allow-methods')).toBe('GET, HEAD, POST, PUT, DELETE');
      expect(allowed.headers.get('access-control-allow-headers')).toBe('content-type, if-match');
      expect(allowed.headers.get('access-control-max-age')).toBe('600');
      const foreign = await given.service.request('OPTIONS', path, undefined, {
        origin: 'http://evil.example',
        ...asking,
      });
      expect([foreign.status, foreign.headers.get('access-control-allow-origin')]).toEqual([204, null]);
    },
  );
});
