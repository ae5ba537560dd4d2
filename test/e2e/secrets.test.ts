import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { options } from '../../src/options.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { dial } from '../harness/databases.ts';
import { connectClient } from '../harness/live-client.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../harness/otlp-receiver.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { eventually, type Reply } from '../harness/service.ts';
import { runVerb, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';
import { inSeconds, sign } from '../harness/tokens.ts';

/**
 * Every secret has a mark that is nowhere else. The service is driven down every path, good and bad, with these; then no mark
 * may stand in anything that it wrote, sent or answered.
 */

const mark = (): string => `marked${randomBytes(18).toString('hex')}`;
/** By what they are. */
const marks = new Map<string, string>();
const marked = (name: string): string => {
  const known = marks.get(name) ?? mark();
  marks.set(name, known);
  return known;
};

/** What is searched, by where it came from. */
const seen: { readonly where: string; readonly text: string }[] = [];
const stops: (() => Promise<void>)[] = [];
let redis: RedisServer;
let schema: DatabaseSchema;
let toDatabase: TcpProxy;
let receiver: OtlpReceiver;
let service: ServiceProcess;
let environment: Record<string, string>;

function leaks(texts: readonly { readonly where: string; readonly text: string }[], besides: RegExp = /^$/): string[] {
  return texts.flatMap(({ where, text }) =>
    [...marks]
      .filter(([name]) => !besides.test(name))
      .filter(([, secret]) => formsOf(secret).some((form) => text.includes(form)))
      .map(([name]) => `${name} in ${where}`),
  );
}

/** As it is, and as it stands in a URL or in basic credentials. */
function formsOf(secret: string): string[] {
  const inner = Buffer.from(secret).toString('base64').slice(4, -8);
  return [secret, encodeURIComponent(secret), inner, Buffer.from(secret).toString('hex')];
}

beforeAll(async () => {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  receiver = await startOtlpReceiver();
  stops.push(receiver.stop);
  redis = await startRedis({ password: marked('REDIS_URL'), ownProcess: true });
  stops.push(redis.stop);
  schema = await createSchema(server, 'secrets');
  stops.push(schema.drop);
  toDatabase = await startProxy(schema);
  stops.push(toDatabase.close);
  const user = `marked_${randomBytes(4).toString('hex')}`;
  const root = await dial(schema);
  await root.query(`CREATE USER '${user}'@'%' IDENTIFIED BY '${marked('DATABASE_URL')}'`);
  await root.query(`GRANT ALL ON \`${schema.name}\`.* TO '${user}'@'%'`);
  stops.push(async () => {
    await root.query(`DROP USER '${user}'@'%'`);
    root.destroy();
  });
  const collector = new URL(receiver.url);
  collector.username = 'collector';
  collector.password = marked('OTEL_EXPORTER_OTLP_ENDPOINT');
  environment = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'debug',
    REDIS_URL: redis.url,
    REDIS_TIMEOUT_MS: '1000',
    DATABASE_URL: `mysql://${user}:${marked('DATABASE_URL')}@${toDatabase.host}:${toDatabase.port}/${schema.name}`,
    DB_ACQUIRE_TIMEOUT_MS: '500',
    DB_CONNECT_TIMEOUT_MS: '500',
    RATE_LIMIT_WRITES: '1000',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.href,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    ...Object.fromEntries(
      ['REALTIME_API_SECRET', 'JWT_SECRET', 'OPERATOR_SECRET', 'METRICS_TOKEN'].flatMap((name) =>
        [name, `${name}_PREVIOUS`].map((each) => [each, marked(each)]),
      ),
    ),
  };
  service = await startServiceProcess({ environment });
  stops.push(service.stop);
  await service.line(/is in use/);
  await root.query(
    `INSERT INTO \`${schema.name}\`.users (id, name, email, password, role) VALUES (1, 'Ada', 'a@x', ?, 'user')`,
    [marked('users.password')],
  );
}, 120_000);

afterAll(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
  const reply = await service.request(method, path, body, headers);
  const { 'set-cookie': cookie = '', ...told } = Object.fromEntries(reply.headers);
  // The session is for the one who has logged in, and for nobody else.
  if (cookie !== '') marks.set('session cookie', /energex_operator=([^;]+)/.exec(cookie)?.[1] ?? '');
  seen.push({ where: `${method} ${path.split('?')[0]}`, text: `${JSON.stringify(told)}\n${reply.text}` });
  return reply;
}

const paths = [
  '/cache/posts',
  '/cache/posts/1',
  '/cache/posts/x',
  '/cache/posts/4711',
  '/cache/health',
  '/internal/broadcast',
  '/internal/stats',
  '/metrics',
  '/livez',
  '/readyz?verbose',
  '/dashboard',
  '/dashboard/api/session',
  '/dashboard/api/metrics',
  '/dashboard/api/stats',
  '/dashboard/api/readiness',
  '/dashboard/api/usage',
  '/dashboard/api/keys?match=*',
  '/dashboard/api/key?key=post:1',
  '/dashboard/api/events',
  '/dashboard/api/invalidate',
  '/openapi.json',
  '/asyncapi.json',
  '/docs',
  '/nowhere',
];

/** All secrets where clients can put them: in headers, cookies, the query and bodies. */
async function askEverything(token: string): Promise<void> {
  const secret = (name: string): string => marks.get(name) ?? '';
  const cookie = `energex_operator=${secret('session cookie')}; other=${marked('a cookie')}`;
  const sent: readonly Record<string, string>[] = [
    { authorization: `Bearer ${token}`, 'x-internal-secret': secret('REALTIME_API_SECRET'), cookie },
    { authorization: `Bearer ${secret('METRICS_TOKEN')}`, 'x-internal-secret': marked('a wrong secret') },
    {
      authorization: `Basic ${Buffer.from(`u:${marked('a password')}`).toString('base64')}`,
      'if-match': `"${marked('an etag')}"`,
    },
  ];
  const bodies = [
    { title: 'Title', content: marked('the content of a post'), secret: marked('a wrong secret') },
    { event: 'said', data: { note: marked('what is told to browsers') }, secret: secret('OPERATOR_SECRET') },
    { key: 'post:1', secret: marked('a wrong secret') },
    `{"secret":"${secret('OPERATOR_SECRET')}"`,
  ];
  for (const path of paths) {
    const query = `${path.includes('?') ? '&' : '?'}token=${token}&secret=${secret('REALTIME_API_SECRET')}`;
    for (const headers of sent) {
      await ask('GET', path, undefined, headers);
      await ask('GET', path + query, undefined, headers);
      await ask('PATCH', path, undefined, headers);
      for (const method of ['POST', 'PUT', 'DELETE']) {
        for (const body of bodies) await ask(method, path, body, headers);
      }
    }
  }
}

async function loggedIn(): Promise<void> {
  for (const name of ['a wrong secret', 'OPERATOR_SECRET_PREVIOUS', 'OPERATOR_SECRET']) {
    await ask('POST', '/dashboard/api/session', { secret: marks.get(name) ?? marked(name) });
  }
}

test('every secret option has a mark', () => {
  const secret = Object.entries<{ readonly secret?: boolean }>(options).filter(([, option]) => option.secret === true);
  // One or the other says where Redis and the database are; the next test has the others.
  const others = /^(?:REDIS_PASSWORD|REDIS_SENTINEL_PASSWORD|DB_PASSWORD)$/;
  expect(secret.map(([name]) => name).filter((name) => !marks.has(name) && !others.test(name))).toEqual([]);
});

test('no secret stands in what is answered, logged, measured or traced, in good times and bad', async () => {
  await loggedIn();
  const token = await sign({ sub: 1 }, { key: Buffer.from(marked('JWT_SECRET')) });
  marks.set('a token', token.split('.')[2] ?? '');
  const old = await sign({ sub: 1, exp: inSeconds(-60) }, { key: Buffer.from(marked('JWT_SECRET_PREVIOUS')) });
  marks.set('an expired token', old.split('.')[2] ?? '');
  const created = await ask('POST', '/cache/posts', { title: 't', content: 'c' }, { authorization: `Bearer ${token}` });
  expect(created.status).toBe(201);
  const client = await connectClient(service.url, {
    extraHeaders: { cookie: `a=${marked('a cookie')}`, authorization: `Bearer ${token}` },
    auth: { token: marked('what a client of live events logs in with') },
  });
  await askEverything(token);
  await askEverything(old);
  seen.push({ where: 'live events', text: JSON.stringify(client.heard.filter(([event]) => event !== 'said')) });
  client.close();

  // A database that refuses, and one that is away; a Redis that is away.
  const root = await dial(schema);
  await root.query('RENAME TABLE posts TO elsewhere');
  await askEverything(token);
  await root.query('RENAME TABLE elsewhere TO posts');
  root.destroy();
  await toDatabase.refuse();
  await ask('GET', '/cache/posts/1');
  await ask(
    'POST',
    '/cache/posts',
    { title: 't', content: marked('the content of a post') },
    { authorization: `Bearer ${token}` },
  );
  await redis.kill();
  await eventually(async () => (await ask('GET', '/readyz?verbose')).text.includes('not in use'));
  await ask('GET', '/cache/posts/1');
  await loggedIn();
  for (const path of paths)
    await ask('GET', path, undefined, { cookie: `energex_operator=${marks.get('session cookie')}` });
  await ask('GET', '/metrics', undefined, { authorization: `Bearer ${marks.get('METRICS_TOKEN')}` });
  service.signal('SIGTERM');
  await service.ended;

  seen.push({ where: 'the log', text: service.lines.join('\n') }, { where: 'standard error', text: service.errors });
  seen.push({
    where: 'traces',
    text: receiver.exports.map(({ path, body }) => `${path} ${body.toString()}`).join('\n'),
  });
  expect(
    seen
      .filter(({ where }) => where === 'GET /metrics')
      .some(({ text }) => text.includes('energex_cache_requests_total')),
  ).toBe(true);
  expect(receiver.spans.length).toBeGreaterThan(100);
  expect(service.lines.length).toBeGreaterThan(500);
  // A post is told to whoever asks for it, and its content is nothing that anybody else should write down.
  const answered = seen.filter(({ where }) => /^\w+ \/|^live/.test(where));
  expect(leaks(answered, /^the content of a post$|^what is told/)).toEqual([]);
  expect(leaks(seen.filter((each) => !answered.includes(each)))).toEqual([]);
}, 240_000);

test('the marks would be found', () => {
  const text = `${marked('REDIS_URL')} ${Buffer.from(`u:${marked('a password')}`).toString('base64')}`;
  expect(leaks([{ where: 'here', text }])).toContain('REDIS_URL in here');
});

test('no verb prints one, when all is well or nothing is', async () => {
  const url = `http://127.0.0.1:${service.port}`;
  const single = {
    REDIS_HOST: '127.0.0.1',
    REDIS_PORT: '1',
    REDIS_PASSWORD: marked('REDIS_PASSWORD'),
    DB_HOST: '127.0.0.1',
    DB_PORT: '1',
    DB_PASSWORD: marked('DB_PASSWORD'),
  };
  const { REDIS_URL: _redis, DATABASE_URL: _database, ...others } = environment;
  const { REDIS_HOST: _host, REDIS_PORT: _port, ...sentinels } = single;
  const settings = [
    environment,
    { ...others, ...single },
    {
      ...others,
      ...sentinels,
      REDIS_SENTINELS: '127.0.0.1:1',
      REDIS_SENTINEL_PASSWORD: marked('REDIS_SENTINEL_PASSWORD'),
    },
    { ...environment, JWT_JWKS_URL: `https://u:${marked('JWT_JWKS_URL')}@h/keys` },
    {
      ...environment,
      REDIS_URL: `redis://:${marked('a wrong URL')}%@h`,
      DATABASE_URL: `mysql://u:${marked('a wrong URL')}@h`,
    },
  ];
  const verbs = [
    ['config', 'print'],
    ['config', 'check'],
    ['doctor'],
    ['inspect', 'post:1'],
    ['stats', '--url', url],
    ['migrate'],
    ['serve'],
  ];
  const found: { where: string; text: string }[] = [];
  for (const [index, each] of settings.entries()) {
    for (const verb of verbs) {
      // What would start is asked for its settings only.
      if (verb[0] === 'serve' && index < 3) continue;
      const forms = verb[0] === 'config' ? [verb, [...verb, '--json']] : [[...verb, '--json']];
      for (const form of forms) {
        const { lines, errors } = await runVerb(form, { environment: each });
        found.push({ where: `${form.join(' ')} with settings ${index}`, text: `${lines.join('\n')}\n${errors}` });
      }
    }
  }
  expect(leaks(found)).toEqual([]);
}, 240_000);

test('a server of keys that says something of its own is not told on', async () => {
  const server = createServer(
    (_request, response) => void response.writeHead(500).end(marked('what a server of keys says')),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const other = await startServiceProcess({ environment: { JWT_JWKS_URL: `http://127.0.0.1:${port}/keys` } });
  try {
    const token = await sign({ sub: 1 }, { alg: 'HS256', key: Buffer.from(marked('JWT_SECRET')) });
    const reply = await other.request('POST', '/cache/posts', {}, { authorization: `Bearer ${token}` });
    expect(reply.status).toBe(401);
    marks.set('a token for it', token.split('.')[2] ?? '');
    other.signal('SIGTERM');
    await other.ended;
    expect(
      leaks([
        { where: 'answer', text: reply.text },
        { where: 'log', text: other.lines.join('\n') },
      ]),
    ).toEqual([]);
  } finally {
    await other.stop();
    server.close();
    server.closeAllConnections();
  }
}, 60_000);
