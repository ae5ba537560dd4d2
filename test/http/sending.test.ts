import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Bytes, chunksOf, Rope } from '../../src/cache/rope.ts';
import { Sending } from '../../src/http/sending.ts';
import { eventually } from '../harness/eventually.ts';

const mb = 1024 * 1024;

/** A server that answers what the test says, to clients that read when the test lets them. */
describe('large answers that are on their way', () => {
  let server: Server;
  let sending: Sending;
  let answers: Bytes[];
  let refused: number;
  let responses: ServerResponse[];
  const clients: Socket[] = [];

  beforeEach(async () => {
    sending = new Sending({ mostBytes: 100 * mb, stallMs: 60_000 });
    answers = [];
    refused = 0;
    responses = [];
    server = createServer((_request, response) => {
      responses.push(response);
      const value = answers.shift() ?? Buffer.alloc(0);
      if (!sending.begin(response, value)) {
        refused += 1;
        response.writeHead(503).end();
        return;
      }
      response.writeHead(200, { 'content-length': value.length });
      for (const chunk of chunksOf(value)) response.write(chunk);
      response.end();
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  /** Asks, and takes nothing yet. */
  function ask(value: Bytes): Socket {
    answers.push(value);
    // Address and port of a server on TCP.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const { port } = server.address() as AddressInfo;
    const client = connect(port, '127.0.0.1').pause();
    client.on('error', () => undefined);
    client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    clients.push(client);
    return client;
  }

  const begun = (count: number) => eventually(async () => responses.length === count);

  test('what several take counts once, until the last of them has it', async () => {
    const value = Buffer.alloc(20 * mb);
    const first = ask(value);
    const second = ask(value);
    await begun(2);
    expect(sending.bytes).toBe(20 * mb);
    first.resume();
    await eventually(async () => responses.some(({ writableFinished }) => writableFinished));
    expect(sending.bytes).toBe(20 * mb);
    second.resume();
    await eventually(async () => sending.bytes === 0);
  });

  test('of lists that share segments only the others count', async () => {
    const segments = Array.from({ length: 30 }, () => Buffer.alloc(mb));
    const other = [Buffer.alloc(mb), ...segments.slice(1)];
    ask(new Rope(segments, segments));
    ask(new Rope(other, other));
    await begun(2);
    expect(sending.bytes).toBe(31 * mb);
    for (const client of clients) client.destroy();
    await eventually(async () => sending.bytes === 0);
  });

  test('beyond the bound no answer is begun; one alone may be larger', async () => {
    ask(Buffer.alloc(120 * mb));
    await begun(1);
    ask(Buffer.alloc(mb));
    await begun(2);
    expect(refused).toBe(1);
    clients[0]?.resume();
    await eventually(async () => sending.bytes === 0);
    ask(Buffer.alloc(mb));
    await begun(3);
    expect(refused).toBe(1);
  });

  test('a client that takes nothing is cut', async () => {
    sending = new Sending({ mostBytes: 100 * mb, stallMs: 200 });
    ask(Buffer.alloc(50 * mb));
    await begun(1);
    expect(sending.bytes).toBe(50 * mb);
    await eventually(async () => sending.bytes === 0);
    expect(responses[0]?.destroyed).toBe(true);
  });

  test('small values do not count, nor do clients that are gone', async () => {
    ask(Buffer.alloc(1_000)).resume();
    await begun(1);
    expect(sending.bytes).toBe(0);
    const [response] = responses;
    if (response === undefined) throw new Error('no response');
    response.destroy();
    sending.begin(response, Buffer.alloc(mb));
    expect(sending.bytes).toBe(0);
  });
});
