import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { backends, eventually, startService } from '../harness/service.ts';
import { describeService, serverStages } from '../harness/stage.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { startProxy } from '../harness/tcp-proxy.ts';

const deadlines = { DB_CONNECT_TIMEOUT_MS: '300', DB_ACQUIRE_TIMEOUT_MS: '300', REDIS_CONNECT_TIMEOUT_MS: '300' };

describeService('probes', {}, (given) => {
  test.each([
    ['/livez', 'ok'],
    ['/readyz', 'ok'],
    ['/livez?verbose', '[+] process ok\nlivez passed\n'],
    ['/readyz?verbose', '[+] shutdown ok\n[+] database ok\n[+] tables ok\n[+] redis ok\nreadyz passed\n'],
  ])('%s of a service that is well', async (path, body) => {
    const reply = await given.service.get(path);
    expect([reply.status, reply.text]).toEqual([200, body]);
    expect(reply.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(reply.headers.get('cache-control')).toBe('no-store');
  });

  test.each(['/livez', '/readyz'])('%s knows no other methods', async (path) => {
    const reply = await given.service.request('POST', path, {});
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
    expect((await given.service.request('HEAD', path)).status).toBe(200);
  });

  test('a service that drains is alive and not ready', async () => {
    // A request on a connection that was open before is answered while the service waits for another one that is under way.
    const dial = async () => {
      const socket = connect(given.service.port, '127.0.0.1');
      await new Promise((resolve) => socket.once('connect', resolve));
      return { socket, said: text(socket) };
    };
    const [slow, probing, living] = await Promise.all([dial(), dial(), dial()]);
    const body = JSON.stringify({ title: 't', content: 'c', user_id: 1 });
    const head = `host: h\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`;
    slow.socket.write(`POST /cache/posts HTTP/1.1\r\n${head}expect: 100-continue\r\n\r\n`);
    await new Promise((resolve) => slow.socket.once('data', resolve));
    // Half of a request keeps a connection open.
    probing.socket.write('GET /readyz?verbose HTTP/1.1\r\nhost: h\r\n');
    living.socket.write('GET /livez HTTP/1.1\r\nhost: h\r\n');
    const stopped = given.service.stop();
    await eventually(() =>
      given.service.get('/livez', { connection: 'close' }).then(
        () => false,
        () => true,
      ),
    );
    probing.socket.write('\r\n');
    living.socket.write('\r\n');
    expect(await probing.said).toMatch(/^HTTP\/1\.1 503 [^]*\[-\] shutdown failed\n[^]*readyz failed\n/);
    expect(await living.said).toMatch(/^HTTP\/1\.1 200 /);
    slow.socket.end(body);
    await stopped;
  });
});

describeService('probes while servers are away', { on: serverStages }, (given) => {
  test('without Redis it is ready, with a warning', async () => {
    const { service, toRedis } = await given.stage.behindProxies({ environment: deadlines });
    await toRedis.refuse();
    await eventually(async () => (await service.get('/readyz?verbose')).text.includes('[!] redis warning: not in use'));
    const reply = await service.get('/readyz?verbose');
    expect(reply.status).toBe(200);
    expect(reply.text).toContain('readyz passed');
    expect((await service.get('/readyz')).text).toBe('ok');
  });

  test.each(['refuse', 'blackHole'] as const)(
    'without the database (%s) it is alive and not ready, in time',
    async (fault) => {
      const { service, toDatabase } = await given.stage.behindProxies({ environment: deadlines });
      await toDatabase[fault]();
      const began = performance.now();
      const reply = await service.get('/readyz');
      expect(performance.now() - began).toBeLessThan(2_000);
      expect([reply.status, reply.text]).toEqual([503, 'not ready: database']);
      expect((await service.get('/livez')).status).toBe(200);
      await toDatabase.restore();
      await eventually(async () => (await service.get('/readyz')).status === 200);
    },
  );
});

describe('probes of a service that starts', () => {
  const stops = stopAfterEach();

  test('before the database answers it is alive and not ready; once the tables are there it is', async () => {
    const running = await backends.at(-1)?.start();
    if (running?.schema === undefined) throw new Error('no backend with servers');
    const toDatabase = await startProxy(running.schema);
    stops.push(running.stop, () => toDatabase.close());
    await toDatabase.refuse();
    const address = { DB_HOST: toDatabase.host, DB_PORT: String(toDatabase.port) };
    const service = await startService({ ...running.environment, ...deadlines, ...address });
    stops.push(service.stop);
    expect((await service.get('/livez')).status).toBe(200);
    const reply = await service.get('/readyz');
    expect([reply.status, reply.text]).toEqual([503, 'not ready: database, tables']);
    await toDatabase.restore();
    await eventually(async () => (await service.get('/readyz')).status === 200);
    expect((await service.get('/cache/posts')).status).toBe(200);
  });
});
