import { expect, test } from '@jest/globals';
import { connector } from '../../src/redis/connection.ts';
import { eventually } from '../harness/eventually.ts';
import { startRedis } from '../harness/redis-server.ts';
import { stopAfterEach } from '../harness/stops.ts';

const stops = stopAfterEach();

test('no commands get no replies, and those that follow get their own', async () => {
  const { host, port, stop } = await startRedis();
  stops.push(stop);
  const up = Promise.withResolvers<void>();
  const open = connector({ server: { host, port }, connectTimeoutMs: 5_000 });
  const link = open('test', { up: up.resolve, down: up.reject });
  stops.push(async () => link.close());
  link.connect();
  await up.promise;
  const replies = await Promise.all([
    link.send(1_000, []),
    link.send(1_000, [
      ['ECHO', 'one'],
      ['ECHO', 'two'],
    ]),
    link.send(1_000, [['ECHO', Buffer.from('three')]]),
  ]);
  expect(replies.map((each) => each.map(String))).toEqual([[], ['one', 'two'], ['three']]);
});

test('a connection that is told more than once to be made anew is closed once, and comes back', async () => {
  const { host, port, stop } = await startRedis();
  stops.push(stop);
  let ups = 0;
  const downs: string[] = [];
  const open = connector({ server: { host, port }, connectTimeoutMs: 5_000 });
  const link = open('test', {
    up: () => {
      ups += 1;
    },
    down: (reason) => void downs.push(reason),
  });
  stops.push(async () => link.close());
  link.connect();
  await eventually(async () => ups === 1);
  link.reconnect('a master no more');
  link.reconnect('a master no more, as another command says');
  await eventually(async () => ups === 2);
  expect(downs).toEqual(['a master no more, as another command says']);
  expect(await link.send(1_000, [['PING']])).toEqual([Buffer.from('PONG')]);
});
