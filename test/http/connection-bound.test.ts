import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { boundConnections, readMostFiles } from '../../src/http/connection-bound.ts';
import { dialHttp, untilClosed } from '../harness/raw-http.ts';
import { parseScrape } from '../harness/scrape.ts';
import { eventually } from '../harness/service.ts';
import { describeService, embeddedStage } from '../harness/stage.ts';

describe('the bound', () => {
  const boundOf = (most: number, mostFiles?: number): Server['maxConnections'] => {
    const server = createServer();
    boundConnections(server, most, mostFiles);
    return server.maxConnections;
  };

  test.each([
    [1_000, Number.POSITIVE_INFINITY, 1_000],
    [1_000, 1_024, 768],
    [1_000, 100, 1],
  ])('%d connections wanted, %d files: %d', (most, mostFiles, bound) => {
    expect(boundOf(most, mostFiles)).toBe(bound);
  });

  test('knows how many files there may be', () => {
    expect(boundOf(Number.POSITIVE_INFINITY)).toBeGreaterThan(256);
    expect(readMostFiles('/not/there')).toBe(Number.POSITIVE_INFINITY);
  });
});

describeService(
  'too many connections',
  { on: embeddedStage, environment: { MAX_CONNECTIONS: '3', INTERNAL_PORT: '0' } },
  (given) => {
    test('one more is closed at once, and one that goes makes room', async () => {
      const { service } = given;
      // What has been asked while the service started may still be connected.
      const sockets = await Promise.all(Array.from({ length: 3 }, () => dialHttp(service.port)));
      const oneMore = await dialHttp(service.port);
      expect(await untilClosed(oneMore)).toBe('');
      const internal = service.internalUrl ?? '';
      const { value } = parseScrape(await (await fetch(`${internal}/metrics`)).text());
      expect(value('energex_http_requests_shed_total', { reason: 'connections' })).toBeGreaterThanOrEqual(1);
      for (const socket of sockets) socket.destroy();
      await Promise.all(sockets.map(async (socket) => socket.closed || (await once(socket, 'close'))));
      await eventually(async () => (await service.get('/cache/posts').catch(() => undefined))?.status === 200);
    });
  },
);
