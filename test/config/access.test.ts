import { expect, test } from '@jest/globals';
import { checkConfig } from '../../src/config.ts';

/** What the settings must say about who comes in. */

const problems = (environment: Record<string, string>): readonly string[] => checkConfig(environment).problems;

test('in production somebody must have said who may write', () => {
  const production = { NODE_ENV: 'production', REDIS_HOST: 'r', DB_HOST: 'd' };
  expect(problems(production)).toEqual([
    'JWT_SECRET (or JWT_JWKS_URL) is missing and NODE_ENV is production: ALLOW_OPEN_WRITES=true lets everybody write',
  ]);
  for (const said of [{ JWT_SECRET: 'x'.repeat(32) }, { JWT_JWKS_URL: 'https://h/k' }, { ALLOW_OPEN_WRITES: 'true' }]) {
    expect(problems({ ...production, ...said })).toEqual([]);
  }
});

test('tokens are checked with a secret, or with keys that nobody on the way can exchange', () => {
  expect(problems({ JWT_SECRET: 's', JWT_JWKS_URL: 'https://h/k' })).toEqual([
    'JWT_SECRET excludes JWT_JWKS_URL: set one of them',
  ]);
  for (const host of ['localhost', '127.0.0.1', '127.8.9.10:81', '[::1]']) {
    expect(problems({ JWT_JWKS_URL: `http://${host}/k` })).toEqual([]);
  }
  expect(problems({ JWT_JWKS_URL: 'https://marked:marked@h/k' })).toEqual([
    'JWT_JWKS_URL must have neither user nor password: public keys need none',
  ]);
  for (const host of ['keys.example', '127.0.0.1.example', '10.0.0.1', 'localhost.example']) {
    expect(problems({ JWT_JWKS_URL: `http://${host}/k` })).toEqual([
      'JWT_JWKS_URL must begin with https:// unless it is on this machine: who is on the way could give other keys',
    ]);
  }
});

test('a second port is another one, or any', () => {
  expect(problems({ PORT: '4000', INTERNAL_PORT: '4000' })).toEqual(['INTERNAL_PORT must be another port than PORT']);
  expect(problems({ PORT: '0', INTERNAL_PORT: '0' })).toEqual([]);
});

test.each(['REALTIME_API_SECRET', 'JWT_SECRET', 'OPERATOR_SECRET', 'METRICS_TOKEN'])(
  '%s has 32 characters or more in production, and so has the one before',
  (name) => {
    const production = { NODE_ENV: 'production', REDIS_HOST: 'r', DB_HOST: 'd', ALLOW_OPEN_WRITES: 'true' };
    const [short, long] = ['marked'.repeat(5), 'x'.repeat(32)];
    const told = (which: string): string => `${which} must have 32 characters or more, and NODE_ENV is production`;
    expect(problems({ ...production, [name]: short })).toEqual([told(name)]);
    expect(problems({ ...production, [name]: long, [`${name}_PREVIOUS`]: short })).toEqual([told(`${name}_PREVIOUS`)]);
    expect(problems({ ...production, [name]: long, [`${name}_PREVIOUS`]: long })).toEqual([]);
    expect(problems({ [name]: short })).toEqual([]);
    expect(problems({ [`${name}_PREVIOUS`]: long })).toEqual([`${name}_PREVIOUS needs ${name}`]);
  },
);
