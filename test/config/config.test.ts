import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { options } from '../../src/options.ts';
import { problems, serversOf, settingsOf } from '../harness/configuration.ts';

describe('without any setting', () => {
  test('the defaults of the contract hold and everything is embedded', () => {
    const { settings, backend } = loadConfig({});
    expect(backend).toEqual({ kind: 'embedded', location: ':memory:' });
    expect(settings).toMatchObject({
      PORT: 4000,
      REDIS_PORT: 6379,
      DB_PORT: 3306,
      DB_USERNAME: 'root',
      DB_DATABASE: 'energex',
      FRONTEND_URL: ['http://localhost:5173'],
      REALTIME_API_SECRET: undefined,
    });
  });

  test('an empty variable is none', () => {
    const names = Object.keys(options);
    expect(loadConfig(Object.fromEntries(names.map((name) => [name, ''])))).toEqual(loadConfig({}));
  });

  test('answers are compressed in what clients accept, unless it is off', () => {
    expect(settingsOf({}).COMPRESSION).toEqual(['br', 'gzip']);
    expect(settingsOf({ COMPRESSION: 'off' }).COMPRESSION).toEqual([]);
    for (const COMPRESSION of ['br,br', 'br,off', ',', 'BR']) {
      expect(problems({ COMPRESSION })).toEqual(['COMPRESSION must be off, or a comma-separated list of br and gzip']);
    }
  });

  test('EMBEDDED_DATA names the file of the embedded database', () => {
    expect(loadConfig({ EMBEDDED_DATA: 'data.db' }).backend).toEqual({ kind: 'embedded', location: 'data.db' });
  });
});

test('a change feed needs servers to follow', () => {
  for (const CHANGE_FEED of ['binlog', 'triggers']) {
    expect(() => loadConfig({ CHANGE_FEED })).toThrow('CHANGE_FEED must be off with the embedded default');
    expect(loadConfig({ CHANGE_FEED, REDIS_HOST: 'r', DB_HOST: 'd' }).settings.CHANGE_FEED).toBe(CHANGE_FEED);
  }
});

describe('every option', () => {
  const integers = Object.entries(options).flatMap(([name, { kind }]) => {
    const range = /^integer, (\d+) to (\d+)$/.exec(kind);
    return range === null ? [] : [{ name, least: Number(range[1]), most: Number(range[2]) }];
  });
  const others: Record<string, [good: string, parsed: unknown, bad?: string]> = {
    CHANGE_FEED: ['off', 'off', 'sometimes'],
    LISTS: ['whole', 'whole', 'sometimes'],
    COMPRESSION: ['gzip, br', ['gzip', 'br'], 'gzip,zstd'],
    NODE_ENV: ['test', 'test'],
    HOST: ['::1', '::1'],
    REDIS_HOST: ['redis', 'redis'],
    REDIS_PASSWORD: ['p', 'p'],
    REDIS_USERNAME: ['cache', 'cache'],
    REDIS_SENTINELS: [
      'a:1, [::1]:2',
      [
        { host: 'a', port: 1 },
        { host: '::1', port: 2 },
      ],
      's:p:x',
    ],
    REDIS_SENTINEL_NAME: ['main', 'main'],
    REDIS_SENTINEL_PASSWORD: ['p', 'p'],
    REDIS_SENTINEL_USERNAME: ['scout', 'scout'],
    REDIS_SENTINEL_TLS: ['off', 'off', 'no'],
    REDIS_KEY_PREFIX: ['shop:', 'shop:', '{shop}:'],
    DB_TLS: ['on', 'on', 'yes'],
    DB_TLS_SERVERNAME: ['db.test', 'db.test'],
    REDIS_TLS: ['on', 'on', 'yes'],
    REDIS_TLS_SERVERNAME: ['redis.test', 'redis.test'],
    REDIS_CLUSTER_NODES: ['10.0.0.1:7000', [{ host: '10.0.0.1', port: 7000 }], 'node:0'],
    DB_ORIGIN: ['shop', 'shop'],
    DB_REPLICAS: ['r1:3306', [{ host: 'r1', port: 3306 }], 'r1'],
    REDIS_URL: ['redis://h', new URL('redis://h'), 'http://h'],
    DB_HOST: ['db', 'db'],
    DB_USERNAME: ['u', 'u'],
    DB_PASSWORD: ['p', 'p'],
    DB_DATABASE: ['d', 'd'],
    DATABASE_URL: ['mysql://h/d', new URL('mysql://h/d'), 'postgres://h/d'],
    EMBEDDED_DATA: ['f', 'f'],
    FRONTEND_URL: [
      'https://a.example, http://b.example:8080/',
      ['https://a.example', 'http://b.example:8080'],
      'a.example',
    ],
    REALTIME_API_SECRET: ['s', 's'],
    JWT_SECRET: ['s', 's'],
    JWT_JWKS_URL: ['https://h/keys', new URL('https://h/keys'), 'ftp://h'],
    JWT_JWKS_ALGORITHM: ['ES256', 'ES256', 'HS256'],
    JWT_ISSUER: ['i', 'i'],
    JWT_AUDIENCE: ['a', 'a'],
    ALLOW_OPEN_WRITES: ['true', 'true', 'yes'],
    OPERATOR_SECRET: ['s', 's'],
    INTERNAL_HOST: ['::1', '::1'],
    REALTIME_API_SECRET_PREVIOUS: ['p', 'p'],
    JWT_SECRET_PREVIOUS: ['p', 'p'],
    OPERATOR_SECRET_PREVIOUS: ['p', 'p'],
    METRICS_TOKEN_PREVIOUS: ['p', 'p'],
    TRUSTED_PROXIES: ['127.0.0.1, 10.0.0.0/8,::1/128', ['127.0.0.1', '10.0.0.0/8', '::1/128'], '10.0.0.0/33'],
    WRITE_WITHOUT_CACHE: ['reject', 'reject', 'never'],
    METRICS_TOKEN: ['t', 't'],
    OTEL_TRACES_EXPORTER: ['otlp', 'otlp', 'zipkin'],
    OTEL_EXPORTER_OTLP_ENDPOINT: ['http://c:4318', new URL('http://c:4318'), 'c:4318'],
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ['https://c/t', new URL('https://c/t'), 'ftp://c'],
    OTEL_EXPORTER_OTLP_PROTOCOL: ['http/json', 'http/json', 'grpc'],
    OTEL_SERVICE_NAME: ['n', 'n'],
    OTEL_TRACES_SAMPLER: ['always_off', 'always_off', 'jaeger_remote'],
    OTEL_TRACES_SAMPLER_ARG: ['0.25', 0.25, '1.5'],
    OTEL_SDK_DISABLED: ['true', 'true', 'yes'],
    LOG_LEVEL: ['silent', 'silent', 'loud'],
    LOG_FORMAT: ['pretty', 'pretty', 'xml'],
    LOG_REQUESTS: ['false', 'false', 'no'],
  };
  /** So that settings that need a second one are complete, and no rule between two settings is broken. */
  const rest = { REDIS_HOST: 'r', DB_HOST: 'd', FENCE_MS: '600000', DB_COMMIT_TIMEOUT_MS: '10' };

  test('is tried below', () => {
    // These need each other: `redis-tls.test.ts`.
    const files = ['REDIS', 'DB'].flatMap((prefix) =>
      ['CA', 'CERT', 'KEY'].map((what) => `${prefix}_TLS_${what}_FILE`),
    );
    const tried = [...integers.map(({ name }) => name), ...Object.keys(others), ...files];
    expect(tried.toSorted()).toEqual(Object.keys(options).toSorted());
  });

  test.each(integers)('$name takes $least to $most', ({ name, least, most }) => {
    const greatest = name === 'DB_COMMIT_TIMEOUT_MS' ? most - 1 : most;
    expect(settingsOf({ ...rest, [name]: String(least) })).toMatchObject({ [name]: least });
    expect(settingsOf({ ...rest, [name]: String(greatest) })).toMatchObject({ [name]: greatest });
    for (const bad of [String(least - 1), String(most + 1), '1.5', '1e3', '0x10', ' 1', 'many', 'NaN']) {
      expect(problems({ ...rest, [name]: bad })).toEqual([`${name} must be a whole number from ${least} to ${most}`]);
    }
  });

  test.each(Object.entries(others))('%s', (name, [good, parsed, bad]) => {
    // The ways to say where Redis is exclude each other.
    const { REDIS_HOST: _host, ...without } = rest;
    const servers = name === 'REDIS_SENTINELS' || name === 'REDIS_CLUSTER_NODES' ? without : rest;
    // A secret before needs one that is.
    const around = { ...servers, ...(name.endsWith('_PREVIOUS') ? { [name.replace('_PREVIOUS', '')]: 's' } : {}) };
    expect(settingsOf({ ...around, [name]: good })).toMatchObject({ [name]: parsed });
    if (bad === undefined) return;
    const [problem, ...more] = problems({ ...around, [name]: bad });
    expect(more).toEqual([]);
    expect(problem).toMatch(new RegExp(`^${name} must be `));
    expect(problem).not.toContain(bad);
  });
});

describe('what goes together', () => {
  test.each([
    [{ REDIS_HOST: 'r' }, ['DB_HOST (or DATABASE_URL) is missing (set both, or neither for the embedded default)']],
    [
      { DATABASE_URL: 'mysql://h/d' },
      ['REDIS_HOST (or REDIS_URL) is missing (set both, or neither for the embedded default)'],
    ],
    [
      { NODE_ENV: 'production', ALLOW_OPEN_WRITES: 'true', DB_HOST: 'd' },
      ['REDIS_HOST (or REDIS_URL) is missing and NODE_ENV is production'],
    ],
    [
      { NODE_ENV: 'production' },
      [
        'REDIS_HOST (or REDIS_URL) is missing and NODE_ENV is production',
        'DB_HOST (or DATABASE_URL) is missing and NODE_ENV is production',
        'JWT_SECRET (or JWT_JWKS_URL) is missing and NODE_ENV is production: ALLOW_OPEN_WRITES=true lets everybody write',
      ],
    ],
  ])('%j', (environment, expected) => {
    expect(problems(environment)).toEqual(expected);
  });

  test('a commit must end before its fence', () => {
    const told = 'DB_COMMIT_TIMEOUT_MS must be below FENCE_MS';
    expect(problems({ DB_COMMIT_TIMEOUT_MS: '2000', FENCE_MS: '2000' })).toEqual([told]);
    expect(problems({ DB_COMMIT_TIMEOUT_MS: '2001', FENCE_MS: '2000' })).toEqual([told]);
    expect(problems({ DB_COMMIT_TIMEOUT_MS: '1999', FENCE_MS: '2000' })).toEqual([]);
    expect(problems({ FENCE_MS: '15000' })).toEqual([told]);
  });

  test('all that is wrong is told at once', () => {
    const told = problems({ PORT: 'x', LOG_LEVEL: 'x', FRONTEND_URL: 'x', REDIS_HOST: 'r', FENCE_MS: '1000' });
    expect(told.map((problem) => problem.split(' ')[0]).toSorted()).toEqual([
      'DB_COMMIT_TIMEOUT_MS',
      'DB_HOST',
      'FRONTEND_URL',
      'LOG_LEVEL',
      'PORT',
    ]);
  });
});

describe('URLs', () => {
  const redis = (url: string) => serversOf({ REDIS_URL: url, DB_HOST: 'd' }).redis;
  const database = (url: string) => serversOf({ DATABASE_URL: url, REDIS_HOST: 'r' }).database;

  test.each([
    ['redis://h', { host: 'h', port: 6379 }],
    ['redis://h:7000/', { host: 'h', port: 7000 }],
    ['redis://:p%40ss%2F%25%3A@h:7000/3', { host: 'h', port: 7000, password: 'p@ss/%:', db: 3 }],
    [
      'rediss://user:secret@[2001:db8::1]:6380',
      { host: '2001:db8::1', port: 6380, username: 'user', password: 'secret', tls: {} },
    ],
  ])('%s', (url, expected) => {
    expect(redis(url)).toEqual({ kind: 'single', ...expected });
  });

  test.each([
    ['mysql://u:p@h/d', { host: 'h', port: 3306, user: 'u', password: 'p', database: 'd' }],
    [
      'mariadb://u%3A:p%40%2F%25@[::1]:3307/my%20data',
      { host: '::1', port: 3307, user: 'u:', password: 'p@/%', database: 'my data' },
    ],
  ])('%s', (url, expected) => {
    expect(database(url)).toEqual(expected);
  });

  test('win over the single settings', () => {
    const { redis: r, database: d } = serversOf({
      REDIS_URL: 'redis://a',
      REDIS_HOST: 'x',
      REDIS_PORT: '1',
      REDIS_PASSWORD: 'x',
      DATABASE_URL: 'mysql://u:p@b/d',
      DB_HOST: 'x',
      DB_PORT: '1',
      DB_PASSWORD: 'x',
    });
    expect([r, d]).toEqual([
      { kind: 'single', host: 'a', port: 6379 },
      { host: 'b', port: 3306, user: 'u', password: 'p', database: 'd' },
    ]);
  });

  test.each([
    ['REDIS_URL', 'not a url', /^REDIS_URL must be a URL that begins with redis:\/\/ or rediss:\/\/$/],
    ['REDIS_URL', 'redis://:6379', /^REDIS_URL must be a URL/],
    ['REDIS_URL', 'redis://:marked%zz@h', /^REDIS_URL must have every % .* written as %25$/],
    ['REDIS_URL', 'redis://h:0', /^REDIS_URL must have a port from 1 to 65535$/],
    ['REDIS_URL', 'redis://:marked@h/first', /^REDIS_URL must end with a database number/],
    ['DATABASE_URL', 'mysql://u:marked@h', /^DATABASE_URL must name the database after the port$/],
    ['DATABASE_URL', 'mysql://u:marked@h/', /^DATABASE_URL must name the database after the port$/],
    ['DATABASE_URL', 'mysql://u:marked%@h/d', /^DATABASE_URL must have every %/],
    [
      'DATABASE_URL',
      'postgres://u:marked@h/d',
      /^DATABASE_URL must be a URL that begins with mysql:\/\/ or mariadb:\/\/$/,
    ],
  ])('%s=%s is told once, without its password', (name, url, expected) => {
    const told = problems({ REDIS_HOST: 'r', DB_HOST: 'd', [name]: url });
    expect(told).toEqual([expect.stringMatching(expected)]);
    expect(told.join()).not.toContain('marked');
    // Alone as well: what is there and wrong is not called missing.
    expect(problems({ [name]: url }).join()).not.toContain(`(or ${name}) is missing`);
  });
});

describe('where Redis is', () => {
  const db = { DB_HOST: 'd' };

  test('Sentinels, with the name of the master and the credentials', () => {
    const { redis } = serversOf({
      ...db,
      REDIS_SENTINELS: 's1:26379,s2:26379',
      REDIS_SENTINEL_NAME: 'main',
      REDIS_SENTINEL_PASSWORD: 'sp',
      REDIS_USERNAME: 'cache',
      REDIS_PASSWORD: 'p',
    });
    expect(redis).toEqual({
      kind: 'sentinel',
      sentinels: [
        { host: 's1', port: 26379 },
        { host: 's2', port: 26379 },
      ],
      master: 'main',
      sentinelPassword: 'sp',
      username: 'cache',
      password: 'p',
    });
    expect(serversOf({ ...db, REDIS_SENTINELS: 's:1' }).redis).toEqual({
      kind: 'sentinel',
      sentinels: [{ host: 's', port: 1 }],
      master: 'mymaster',
    });
  });

  test('some nodes of a cluster', () => {
    const { redis } = serversOf({ ...db, REDIS_CLUSTER_NODES: 'n1:7000', REDIS_PASSWORD: 'p' });
    expect(redis).toEqual({ kind: 'cluster', nodes: [{ host: 'n1', port: 7000 }], password: 'p' });
  });

  test.each([
    [{ REDIS_SENTINELS: 's:1', REDIS_HOST: 'h' }, 'REDIS_SENTINELS excludes REDIS_HOST or REDIS_URL: set one of them'],
    [
      { REDIS_CLUSTER_NODES: 'n:1', REDIS_URL: 'redis://h' },
      'REDIS_CLUSTER_NODES excludes REDIS_HOST or REDIS_URL: set one of them',
    ],
    [
      { REDIS_SENTINELS: 's:1', REDIS_CLUSTER_NODES: 'n:1' },
      'REDIS_SENTINELS excludes REDIS_CLUSTER_NODES: set one of them',
    ],
  ])('%j is one too many', (given, told) => {
    expect(problems({ ...db, ...given })).toEqual([told]);
  });
});
