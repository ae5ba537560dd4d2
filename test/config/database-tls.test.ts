import { describe, expect, test } from '@jest/globals';
import { checkConfig, loadConfig } from '../../src/config.ts';

describe('TLS to the database', () => {
  const redis = { REDIS_HOST: 'r' };
  const problemsOf = (given: Record<string, string>): readonly string[] => checkConfig({ ...redis, ...given }).problems;

  test.each([{ DB_HOST: 'db.test' }, { DATABASE_URL: 'mysql://u:p@db.test/d' }])('%j', (given) => {
    const databaseOf = (more: Record<string, string>): unknown => {
      const { backend } = loadConfig({ ...redis, ...given, ...more });
      return backend.kind === 'servers' ? backend.database.tls : 'embedded';
    };
    expect(databaseOf({})).toBeUndefined();
    expect(databaseOf({ DB_TLS: 'on' })).toEqual({});
    expect(databaseOf({ DB_TLS: 'on', DB_TLS_SERVERNAME: 'other.test' })).toEqual({ servername: 'other.test' });
  });

  test.each([
    [{ DB_HOST: 'd', DB_TLS_CA_FILE: import.meta.filename }, 'DB_TLS_CA_FILE needs DB_TLS=on'],
    [{ DB_HOST: 'd', DB_TLS: 'on', DB_TLS_CERT_FILE: 'nowhere' }, 'DB_TLS_CERT_FILE names a file that does not exist'],
    [{ DB_HOST: 'd', DB_TLS: 'on', DB_TLS_CERT_FILE: 'nowhere' }, 'DB_TLS_CERT_FILE and DB_TLS_KEY_FILE go together'],
    [{ DB_HOST: '10.0.0.1', DB_TLS: 'on' }, 'has: 10.0.0.1 is an address'],
    [{ DATABASE_URL: 'mysql://u:p@[::1]/d', DB_TLS: 'on' }, '[::1] is an address'],
    [{ DB_HOST: 'd', DB_REPLICAS: '10.0.0.2:3306', DB_TLS: 'on' }, '10.0.0.2 is an address'],
    [{ DB_HOST: 'd', DB_TLS: 'on', DB_TLS_SERVERNAME: '10.0.0.1' }, 'DB_TLS_SERVERNAME must be a name'],
  ])('%j: %s', (given, problem) => {
    expect(problemsOf(given)).toContainEqual(expect.stringContaining(problem));
  });

  test('addresses are no matter where there is a name for their certificates', () => {
    const given = { DB_HOST: '10.0.0.1', DB_REPLICAS: '[::1]:1', DB_TLS: 'on', DB_TLS_SERVERNAME: 'db.test' };
    expect(problemsOf(given)).toEqual([]);
  });
});
