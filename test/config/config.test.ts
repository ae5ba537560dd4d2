import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { type Config, loadConfig } from '../../src/config.ts';
import { options } from '../../src/options.ts';
import { CatalogueError } from '../../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'energex-cache-test-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Environment = Record<string, string>;

/** What `loadConfig` has to say against it: one problem per line. */
function problems(environment: Environment): string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    if (!(error instanceof CatalogueError) || error.code !== 'CONFIG_INVALID') throw error;
    return error.message.replace(/^Invalid configuration: /, '').split('; ');
  }
  return [];
}

function settingsOf(environment: Environment): Config['settings'] {
  return loadConfig(environment).settings;
}

function serversOf(environment: Environment): Extract<Config['backend'], { kind: 'servers' }> {
  const { backend } = loadConfig(environment);
  if (backend.kind !== 'servers') throw new Error('the embedded default was chosen');
  return backend;
}

function fileWith(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

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
    REDIS_CLUSTER_NODES: ['10.0.0.1:7000', [{ host: '10.0.0.1', port: 7000 }], 'node:0'],
    DB_ORIGIN: ['shop', 'shop'],
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
    OPERATOR_SECRET: ['s', 's'],
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
    expect([...integers.map(({ name }) => name), ...Object.keys(others)].toSorted()).toEqual(
      Object.keys(options).toSorted(),
    );
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
    const around = name === 'REDIS_SENTINELS' || name === 'REDIS_CLUSTER_NODES' ? without : rest;
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
    [{ NODE_ENV: 'production', DB_HOST: 'd' }, ['REDIS_HOST (or REDIS_URL) is missing and NODE_ENV is production']],
    [
      { NODE_ENV: 'production' },
      [
        'REDIS_HOST (or REDIS_URL) is missing and NODE_ENV is production',
        'DB_HOST (or DATABASE_URL) is missing and NODE_ENV is production',
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

describe('secrets', () => {
  const names = Object.entries<{ secret?: boolean }>(options).flatMap(([name, { secret }]) =>
    secret === true ? [name] : [],
  );

  test('are these', () => {
    expect(names).toEqual([
      'REDIS_PASSWORD',
      'REDIS_URL',
      'REDIS_SENTINEL_PASSWORD',
      'DB_PASSWORD',
      'DATABASE_URL',
      'REALTIME_API_SECRET',
      'OPERATOR_SECRET',
      'METRICS_TOKEN',
    ]);
  });

  test('are read from files, without the line feed at the end', () => {
    const environment = {
      REDIS_HOST: 'r',
      REDIS_PASSWORD_FILE: fileWith('redis', 'one\n'),
      DB_HOST: 'd',
      DB_PASSWORD_FILE: fileWith('db', 'two\r\n'),
      REALTIME_API_SECRET_FILE: fileWith('realtime', 'three'),
    };
    expect(serversOf(environment)).toMatchObject({ redis: { password: 'one' }, database: { password: 'two' } });
    expect(settingsOf(environment).REALTIME_API_SECRET).toBe('three');
    const urls = {
      REDIS_URL_FILE: fileWith('url', 'redis://:p@h\n'),
      DATABASE_URL_FILE: fileWith('dburl', 'mysql://u:q@h/d\n'),
    };
    expect(serversOf(urls)).toMatchObject({ redis: { password: 'p' }, database: { password: 'q' } });
  });

  test('the variable wins over the file', () => {
    const environment = { REALTIME_API_SECRET: 'variable', REALTIME_API_SECRET_FILE: fileWith('other', 'file') };
    expect(settingsOf(environment).REALTIME_API_SECRET).toBe('variable');
  });

  test('an empty file is no secret: nobody may come in with an empty header', () => {
    expect(settingsOf({ REALTIME_API_SECRET_FILE: fileWith('empty', '\n') }).REALTIME_API_SECRET).toBeUndefined();
  });

  test.each(names)('%s_FILE that cannot be read is named, with neither path nor content', (name) => {
    const path = join(folder, 'not-there');
    const told = problems({ [`${name}_FILE`]: path, REDIS_HOST: 'r', DB_HOST: 'd' });
    expect(told).toEqual([`${name} cannot be read: ${name}_FILE names a file that does not exist or may not be read`]);
  });

  test('other settings have no files', () => {
    expect(settingsOf({ LOG_LEVEL_FILE: fileWith('level', 'silent') }).LOG_LEVEL).toBe('info');
  });
});
