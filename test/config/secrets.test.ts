import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { options } from '../../src/options.ts';
import { problems, serversOf, settingsOf } from '../harness/configuration.ts';

const folder = mkdtempSync(join(tmpdir(), 'energex-cache-test-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

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
      'REALTIME_API_SECRET_PREVIOUS',
      'JWT_SECRET',
      'JWT_SECRET_PREVIOUS',
      'OPERATOR_SECRET',
      'OPERATOR_SECRET_PREVIOUS',
      'METRICS_TOKEN',
      'METRICS_TOKEN_PREVIOUS',
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
