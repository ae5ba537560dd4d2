import { describe, expect, test } from '@jest/globals';
import { checkConfig } from '../../src/config.ts';
import { examineSettings } from '../../src/doctor/settings.ts';
import { options } from '../../src/options.ts';
import { runVerb } from '../harness/service-process.ts';

/** The verbs `config print` and `config check`, and what the settings alone tell. */

describe('config print', () => {
  test('every setting with where it comes from, and no secret', async () => {
    const files = { '.env': 'LOG_LEVEL=debug\nDB_HOST=db.example.com\nDB_PASSWORD=marked-1\n', secret: 'marked-2\n' };
    const environment = {
      REDIS_URL: 'redis://:marked-3@redis.example.com',
      REALTIME_API_SECRET_FILE: 'secret',
      PORT: '4001',
      TRUSTED_PROXIES: '10.0.0.0/8,::1',
    };
    const json = await runVerb(['config', 'print', '--json'], { files, environment });
    const text = await runVerb(['config', 'print'], { files, environment });
    expect([json.code, json.errors, text.code]).toEqual([0, '', 0]);
    expect([...json.lines, ...text.lines].join('\n')).not.toContain('marked');
    const document: Record<string, unknown> = JSON.parse(json.lines.join('\n'));
    expect(Object.keys(document)).toEqual(Object.keys(options));
    expect(document).toMatchObject({
      PORT: { value: 4001, source: 'environment', secret: false },
      LOG_LEVEL: { value: 'debug', source: '.env' },
      REDIS_URL: { value: '[secret]', source: 'environment', secret: true },
      DB_PASSWORD: { value: '[secret]', source: '.env', secret: true },
      REALTIME_API_SECRET: { value: '[secret]', source: 'secret', secret: true },
      REDIS_HOST: { value: null, source: 'default' },
      DB_PORT: { value: 3306, source: 'default' },
    });
    expect(text.lines.map((line) => line.replaceAll(/ +/g, ' '))).toEqual(
      expect.arrayContaining([
        'PORT 4001 (environment)',
        'TRUSTED_PROXIES 10.0.0.0/8,::1 (environment)',
        'DB_PASSWORD [secret] (.env)',
        'REDIS_HOST not set (default)',
      ]),
    );
  });

  test('settings that are wrong are printed all the same, lists of addresses as they are written', async () => {
    const environment = { PORT: 'http', REDIS_CLUSTER_NODES: '10.0.0.1:7000,10.0.0.2:7001' };
    const { code, lines } = await runVerb(['config', 'print'], { environment });
    expect(code).toBe(0);
    expect(lines.join('\n')).toMatch(/^REDIS_CLUSTER_NODES +10\.0\.0\.1:7000,10\.0\.0\.2:7001 +\(environment\)$/m);
  });
});

describe('config check', () => {
  test('what is wrong ends it with 3, and each has what mends it', async () => {
    const environment = { PORT: 'http', LOG_LEVEL: 'loud' };
    const { code, lines } = await runVerb(['config', 'check', '--json'], { environment });
    expect(code).toBe(3);
    const document: { fail: number; findings: unknown[] } = JSON.parse(lines.join('\n'));
    expect(document.fail).toBe(2);
    expect(document.findings.slice(0, 2)).toMatchObject([
      { id: 'settings.values', severity: 'fail', remedy: expect.stringMatching(/PORT=\.\.\.$/) },
      { id: 'settings.values', severity: 'fail', remedy: expect.stringMatching(/LOG_LEVEL=\.\.\.$/) },
    ]);
  });

  test('for people a line for each, then the sum', async () => {
    const { code, lines } = await runVerb(['config', 'check']);
    expect(code).toBe(0);
    expect(lines[0]).toBe('ok   settings.values: all settings have values in their range');
    expect(lines).toContain('WARN settings.secret: REALTIME_API_SECRET is not set');
    expect(lines.at(-1)).toBe('3 in order, 3 to look at, 0 that must be mended');
  });
});

const strong = '9f86d081884c7d659a2feaa0c55ad015';
const production = {
  NODE_ENV: 'production',
  REDIS_HOST: '127.0.0.1',
  DB_HOST: 'db.example.com',
  DB_USERNAME: 'energex',
  JWT_SECRET: '60303ae22b998861bce3b28f33eec1be',
  RATE_LIMIT_WRITES: '600',
};

describe('what the settings alone tell', () => {
  const examine = (environment: Record<string, string>) => examineSettings(checkConfig(environment));

  test('nothing, where all is right', () => {
    const findings = examine({ ...production, REALTIME_API_SECRET: strong, FRONTEND_URL: 'https://app.example.com' });
    expect(findings.filter(({ severity }) => severity !== 'ok')).toEqual([]);
    expect(findings.length).toBeGreaterThan(5);
  });

  test('whose signature a token needs', () => {
    const said = (environment: Record<string, string>) =>
      examine(environment).find(({ id }) => id === 'settings.writes')?.finding;
    expect(said({ JWT_SECRET: strong })).toBe('who writes needs a token, signed with JWT_SECRET (HS256)');
    expect(said({ JWT_JWKS_URL: 'https://id.example/keys' })).toBe(
      'who writes needs a token, signed with a key of id.example (RS256)',
    );
  });

  test.each<[string, Record<string, string>, string, 'warn' | 'fail', RegExp]>([
    ['no secret', { ...production }, 'settings.secret', 'warn', /is not set/],
    ['a short secret', { ...production, REALTIME_API_SECRET: 'abc' }, 'settings.secret', 'fail', /has 3 characters/],
    ['a short secret while developing', { REALTIME_API_SECRET: 'abc' }, 'settings.secret', 'warn', /has 3 characters/],
    [
      'a secret of few characters',
      { ...production, REALTIME_API_SECRET: 'ab'.repeat(16) },
      'settings.secret',
      'fail',
      /repeats/,
    ],
    [
      'a secret that somebody thought of',
      { ...production, REALTIME_API_SECRET: 'my-secret-for-the-php-backend-of-ours' },
      'settings.secret',
      'fail',
      /a word in it/,
    ],
    ['writes that are open', {}, 'settings.writes', 'warn', /^writes are open: neither [^ ]+ nor [^ ]+ is set$/],
    [
      'writes that are open in production',
      { ...production, JWT_SECRET: '', ALLOW_OPEN_WRITES: 'true' },
      'settings.writes',
      'warn',
      /NODE_ENV is production/,
    ],
    ['no limit in production', { ...production, RATE_LIMIT_WRITES: '0' }, 'settings.rate-limits', 'warn', /is 0/],
    ['an origin of the developer', { ...production }, 'settings.frontend-url', 'fail', /http:\/\/localhost:5173/],
    [
      'an origin of the developer beside the real one',
      { ...production, FRONTEND_URL: 'https://app.example.com,http://127.0.0.1:5173' },
      'settings.frontend-url',
      'warn',
      /http:\/\/127\.0\.0\.1:5173/,
    ],
    [
      'an origin without TLS',
      { ...production, FRONTEND_URL: 'http://app.example.com' },
      'settings.frontend-url',
      'warn',
      /without TLS/,
    ],
    [
      'a Redis without a password',
      { ...production, REDIS_HOST: 'redis' },
      'settings.redis-password',
      'warn',
      /without a password/,
    ],
    [
      'a cluster without a password',
      { DB_HOST: 'db', REDIS_CLUSTER_NODES: 'redis:7000' },
      'settings.redis-password',
      'warn',
      /without a password/,
    ],
    ['root', { ...production, DB_USERNAME: 'root' }, 'settings.database-user', 'warn', /as root/],
    ['the embedded default', {}, 'settings.backend', 'warn', /neither REDIS_HOST nor DB_HOST/],
    [
      'more memory than there is',
      { OUTGOING_MB: '65536', MEMORY_TIER_MB: '65536' },
      'settings.memory',
      'warn',
      /allow 131328 MiB/,
    ],
  ])('%s', (_, environment, id, severity, finding) => {
    const found = examine(environment).filter((each) => each.id === id);
    expect(found).toMatchObject([{ id, severity, finding: expect.stringMatching(finding) }]);
    expect(found[0]?.meaning).not.toBe('');
    expect(found[0]?.remedy).not.toBe('');
  });
});
