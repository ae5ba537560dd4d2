import { EventEmitter } from 'node:events';
import { expect, jest, test } from '@jest/globals';
import type { Socket } from 'socket.io';
import { Outgoing } from '../../src/realtime/outgoing.ts';
import { ManualClock } from '../harness/manual-clock.ts';

/** A connection as engine.io tells of it: https://socket.io/docs/v4/engine-io-protocol/ */
class Connection extends EventEmitter {
  readonly transport = { writable: true, socket: { terminate: jest.fn() } };
  readonly close = jest.fn();

  take(data: unknown): void {
    this.emit('packetCreate', { data });
  }

  flush(): void {
    this.transport.writable = false;
    this.emit('flush');
  }
}

function open(): { connection: Connection; outgoing: Outgoing } {
  const connection = new Connection();
  // What is used of it is there.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return { connection, outgoing: new Outgoing(connection as unknown as Socket['conn']) };
}

const kilobyte = 'x'.repeat(1_024);

test('counts what waits and what is being sent', () => {
  const { connection, outgoing } = open();
  connection.take(kilobyte);
  connection.take(Buffer.alloc(10));
  connection.take(undefined);
  expect(outgoing.size).toBe(1_034);
  connection.flush();
  expect(outgoing.size).toBe(1_034);
  connection.take('more');
  expect(outgoing.size).toBe(1_038);
  connection.transport.writable = true;
  expect(outgoing.size).toBe(4);
});

test('waits for room, though not for ever', async () => {
  const clock = new ManualClock();
  const { connection, outgoing } = open();
  for (let count = 0; count < 600; count += 1) connection.take(kilobyte);
  expect(outgoing.isTooMuch).toBe(false);
  let answers: boolean[] = [];
  const ask = async (): Promise<void> => {
    answers = [...answers, await outgoing.hasRoom(clock)];
  };
  const patient = ask();
  await clock.advance(5_000);
  expect(answers).toEqual([]);
  connection.flush();
  connection.transport.writable = true;
  await clock.advance(50);
  await patient;
  expect(answers).toEqual([true]);
  for (let count = 0; count < 1_100; count += 1) connection.take(kilobyte);
  expect(outgoing.isTooMuch).toBe(true);
  const impatient = ask();
  await clock.advance(11_000);
  await impatient;
  expect(answers).toEqual([true, false]);
});

test('a cut does not wait for what is on its way', () => {
  const { connection, outgoing } = open();
  outgoing.cut();
  expect(connection.close).toHaveBeenCalledWith(true);
  expect(connection.transport.socket.terminate).toHaveBeenCalled();
});
