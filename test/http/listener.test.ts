import { expect, test } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { addressOf, closeApp, listen, portOf } from '../../src/http/listener.ts';
import { stopAfterEach } from '../harness/stops.ts';

const stops = stopAfterEach();
const host = '127.0.0.1';

function open(): FastifyInstance {
  const app = fastify();
  app.decorate('sendAway', () => undefined);
  stops.push(() => closeApp(app, 1_000));
  return app;
}

test('listens on a free port, and tells which', async () => {
  const app = open();
  expect(portOf(app.server)).toBe(0);
  await listen(app, { host, port: 0 });
  expect(portOf(app.server)).toBeGreaterThan(0);
});

test('a port that is taken is told with its address', async () => {
  const first = open();
  await listen(first, { host, port: 0 });
  const port = portOf(first.server);
  await expect(listen(open(), { host, port })).rejects.toMatchObject({
    code: 'PORT_UNAVAILABLE',
    message: expect.stringContaining(`Cannot listen on ${host}:${port}: `),
  });
});

test('what is no matter of the address is told as it is', async () => {
  const app = open();
  await listen(app, { host, port: 0 });
  await expect(listen(app, { host, port: 0 })).rejects.toMatchObject({ code: 'FST_ERR_REOPENED_SERVER' });
});

test('an IPv6 address has brackets', () => {
  expect([addressOf({ host: '::1', port: 1 }), addressOf({ host: 'h', port: 2 })]).toEqual(['[::1]:1', 'h:2']);
});

test('requests in flight are waited for, and cut off in the end', async () => {
  const app = open();
  let arrived = (): void => undefined;
  const here = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  app.get('/never', () => {
    arrived();
    return new Promise(() => undefined);
  });
  await listen(app, { host, port: 0 });
  const asking = fetch(`http://${host}:${portOf(app.server)}/never`).catch((error: unknown) => String(error));
  await here;
  await closeApp(app, 50);
  expect(await asking).toBe('TypeError: fetch failed');
});
