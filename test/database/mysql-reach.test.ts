import { expect, test } from '@jest/globals';
import { reach } from '../../src/database/mysql-reach.ts';

const server = { host: 'db.test', port: 1, user: 'u', password: 'p', database: 'd' };

test('without TLS the driver is told of the server as it is', () => {
  expect(reach(server)).toEqual(server);
});

test('with TLS the certificate must be good, and for the name that is wanted', () => {
  const told = reach({ ...server, host: '10.0.0.1', tls: { ca: 'CA', servername: 'name.test' } });
  expect(told).toMatchObject({
    host: 'name.test',
    ssl: { ca: 'CA', rejectUnauthorized: true, verifyIdentity: true },
  });
  expect(reach({ ...server, tls: {} })).toMatchObject({ host: 'db.test' });
});

test('an address is no name: nothing would be checked', () => {
  expect(() => reach({ ...server, host: '::1', tls: {} })).toThrow('no certificate is held against an address: ::1');
});
