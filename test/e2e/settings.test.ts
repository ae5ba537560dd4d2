import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { createSchema } from '../harness/database-schema.ts';
import { startDatabaseServer } from '../harness/database-server.ts';
import { startRedis } from '../harness/redis-server.ts';
import { type ProcessOptions, runVerb, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Settings as a user gives them to the program, and what it says to wrong ones. */

const stops = stopAfterEach();

async function start(options: ProcessOptions): Promise<ServiceProcess> {
  const service = await startServiceProcess(options);
  stops.push(service.stop);
  return service;
}

describe('a program that cannot start says why in one sentence', () => {
  const servers = { REDIS_HOST: '127.0.0.1', DB_HOST: '127.0.0.1' };
  const misspelt = { PORT: 'http', LOG_LEVEL: 'loud' };

  test.each<[string, string[], Record<string, string>, Record<string, string>, RegExp]>([
    [
      'a number that is none',
      [],
      { PORT: 'http' },
      {},
      /^Invalid configuration: PORT must be a whole number from 0 to 65535$/,
    ],
    ['two at once', [], misspelt, {}, /^Invalid configuration: PORT must be [^;]+; LOG_LEVEL must be one of [a-z, ]+$/],
    ['a choice', [], { WRITE_WITHOUT_CACHE: 'maybe' }, {}, /WRITE_WITHOUT_CACHE must be one of accept, reject$/],
    [
      'an origin',
      [],
      { FRONTEND_URL: 'app.example.com' },
      {},
      /FRONTEND_URL must be a comma-separated list of origins such as/,
    ],
    [
      'a URL',
      [],
      { REDIS_URL: 'http://h', DB_HOST: 'h' },
      {},
      /^Invalid configuration: REDIS_URL must be a URL that begins with [^;]+$/,
    ],
    ['a rule between two', [], { DB_COMMIT_TIMEOUT_MS: '30000' }, {}, /DB_COMMIT_TIMEOUT_MS must be below FENCE_MS$/],
    [
      'a secret file that is not there',
      [],
      { ...servers, DB_PASSWORD_FILE: 'nowhere' },
      {},
      /DB_PASSWORD cannot be read: DB_PASSWORD_FILE names/,
    ],
    [
      'REDIS_HOST alone',
      [],
      { REDIS_HOST: 'h' },
      {},
      /: DB_HOST \(or DATABASE_URL\) is missing \(set both, or neither/,
    ],
    ['DB_HOST alone', [], { DB_HOST: 'h' }, {}, /: REDIS_HOST \(or REDIS_URL\) is missing \(set both, or neither/],
    [
      'nothing, in production',
      [],
      { NODE_ENV: 'production' },
      {},
      /: REDIS_HOST [^;]+ is production; DB_HOST [^;]+ is production; JWT_SECRET [^;]+ everybody write$/,
    ],
    [
      'a folder that is not there',
      [],
      { EMBEDDED_DATA: 'nowhere/data.db' },
      {},
      /EMBEDDED_DATA must name a file .*: unable to open database file$/,
    ],
    [
      'a file of another kind',
      [],
      { EMBEDDED_DATA: 'text' },
      { text: 'no database, '.repeat(100) },
      /EMBEDDED_DATA must name a file .*: file is not a database$/,
    ],
    ['a bad line in .env', [], {}, { '.env': 'PORT=none' }, /: PORT must be a whole number/],
    [
      'an address that is not ours',
      [],
      { HOST: '198.51.100.1', PORT: '0' },
      {},
      /^Cannot listen on 198\.51\.100\.1:0: listen EADDRNOTAVAIL/,
    ],
    [
      'a host that is none',
      [],
      { HOST: 'nowhere.invalid', PORT: '0' },
      {},
      /^Cannot listen on nowhere\.invalid:0: getaddrinfo/,
    ],
    [
      'migrate without a server',
      ['migrate'],
      { ...servers, DB_PORT: '1' },
      {},
      /^The database cannot be reached; .* \(connect ECONNREFUSED 127\.0\.0\.1:1\)$/,
    ],
    [
      'migrate without lasting data',
      ['migrate'],
      {},
      {},
      /^migrate needs a database that outlives it: set REDIS_HOST and DB_HOST/,
    ],
  ])('%s', async (_, args, environment, files, expected) => {
    const { code, lines, errors } = await runVerb(args, { environment, files });
    expect(errors.trimEnd().split('\n')).toEqual([expect.stringMatching(expected)]);
    expect(errors).not.toMatch(/\bat .*:\d+:\d+/);
    expect(code).toBe(errors.startsWith('migrate needs') ? 2 : 1);
    expect(lines.filter((line) => line.includes('listening'))).toEqual([]);
  });

  test('a port in use', async () => {
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    stops.push(async () => {
      other.close();
    });
    const address = other.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const { code, errors } = await runVerb([], { environment: { HOST: '127.0.0.1', PORT: String(port) } });
    expect(errors).toBe(
      `Cannot listen on 127.0.0.1:${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
    );
    expect(code).toBe(1);
  });
});

describe('where settings come from', () => {
  test('the .env file of the working directory, and the environment wins', async () => {
    const files = { '.env': 'LOG_LEVEL=debug\nREALTIME_API_SECRET="from the file"\nLOG_REQUESTS=false\nPORT=1\n' };
    const service = await start({ files, environment: { LOG_REQUESTS: 'true' } });
    const body = { event: 'hello', data: 1 };
    const answer = await service.request('POST', '/internal/broadcast', body, { 'x-internal-secret': 'from the file' });
    expect(answer.status).toBe(200);
    await service.line(/"route":"\/internal\/broadcast"/);
  });

  test('the environment wins by whatever name it says it', async () => {
    const files = {
      '.env':
        'REDIS_URL=redis://file.invalid\nDATABASE_URL=mysql://u:p@file.invalid/d\nREALTIME_API_SECRET=from-env-file\n',
      secret: 'from-secret-file\n',
    };
    const environment = {
      REDIS_HOST: '127.0.0.1',
      REDIS_PORT: '1',
      DB_HOST: '127.0.0.1',
      DB_PORT: '1',
      REALTIME_API_SECRET_FILE: 'secret',
    };
    const service = await start({ files, environment });
    await service.line(/Cache: Redis at 127\.0\.0\.1:1 /);
    await service.line(/Database: 127\.0\.0\.1:1: /);
    const send = (secret: string) =>
      service.request('POST', '/internal/broadcast', { event: 'hello', data: 1 }, { 'x-internal-secret': secret });
    expect((await send('from-env-file')).status).toBe(403);
    expect((await send('from-secret-file')).status).toBe(200);
    expect((await send('')).status).toBe(403);
  });

  test('an empty secret file lets nobody in', async () => {
    const service = await start({ files: { secret: '\n' }, environment: { REALTIME_API_SECRET_FILE: 'secret' } });
    const answer = await service.request(
      'POST',
      '/internal/broadcast',
      { event: 'hello', data: 1 },
      { 'x-internal-secret': '' },
    );
    expect(answer.status).toBe(403);
  });

  test('URLs and secret files, with passwords that need encoding, on real servers', async () => {
    const password = 'p@ss/w%rd: #?';
    const [flavour] = sharedDatabases().map((each) => each.flavour);
    const [redis, server] = await Promise.all([
      startRedis({ password, ownProcess: true }),
      startDatabaseServer(flavour ?? 'mysql', { password, ownProcess: true }),
    ]);
    stops.push(redis.stop, server.stop);
    const schema = await createSchema(server);
    const encoded = encodeURIComponent(password);

    const byUrl = await start({
      files: { url: `mysql://root:${encoded}@${server.host}:${server.port}/${schema.name}\n` },
      environment: { REDIS_URL: `redis://default:${encoded}@${redis.host}:${redis.port}/3`, DATABASE_URL_FILE: 'url' },
    });
    await byUrl.line(/Cache: Redis at \S+ is in use/);
    expect((await byUrl.get('/cache/health')).status).toBe(200);

    const byFiles = await start({
      files: { password: `${password}\n` },
      environment: {
        REDIS_HOST: redis.host,
        REDIS_PORT: String(redis.port),
        REDIS_PASSWORD_FILE: 'password',
        DB_HOST: server.host,
        DB_PORT: String(server.port),
        DB_PASSWORD_FILE: 'password',
        DB_DATABASE: schema.name,
      },
    });
    await byFiles.line(/Cache: Redis at \S+ is in use/);
    expect((await byFiles.get('/cache/health')).status).toBe(200);

    const wrong = await start({
      environment: {
        REDIS_HOST: redis.host,
        REDIS_PORT: String(redis.port),
        REDIS_PASSWORD: 'marked-1',
        DB_HOST: server.host,
        DB_PORT: String(server.port),
        DB_PASSWORD: 'marked-2',
      },
    });
    await wrong.line(/Cache: Redis at \S+ is not in use: WRONGPASS/);
    await wrong.line(/Database: \S+: Access denied for user/);
    expect(wrong.lines.join('\n') + wrong.errors).not.toContain('marked');
  });
});
