import { describe, expect, test } from '@jest/globals';
import { Connection, type Place } from '../../client/src/connection.ts';
import { FakeSocket } from './fake-socket.ts';
import { ManualTiming } from './manual-timing.ts';

function open() {
  const timing = new ManualTiming();
  let socket: FakeSocket | undefined;
  const heard: [string, unknown, Place | undefined][] = [];
  const missed: boolean[] = [];
  const statuses: string[] = [];
  const connection: Connection = new Connection(
    (auth) => (socket = new FakeSocket(auth)),
    {
      heard: (...all) => heard.push(all),
      missed: (isFirst) => missed.push(isFirst),
      changed: () => statuses.push(connection.status),
    },
    timing,
  );
  if (socket === undefined) throw new Error('no socket was opened');
  connection.start();
  return { connection, socket, timing, heard, missed, statuses };
}

const session = (recovered: boolean, offset = 7, epoch = 'e') => ({ epoch, offset, recovered });
const place = (offset: number, epoch = 'e') => ({ epoch, offset, version: offset });

function openLive() {
  const opened = open();
  opened.socket.accept();
  opened.socket.hear('energex:session', session(false));
  return opened;
}

describe('a connection', () => {
  test('is offline, joins, and is live once it knows where it stands', () => {
    const { connection, socket, statuses, missed } = open();
    expect([connection.status, socket.auth()]).toEqual(['starting', { epoch: null }]);
    socket.refuse();
    socket.accept();
    socket.hear('energex:session', session(false));
    expect(statuses).toEqual(['unreachable', 'joining', 'live']);
    expect([missed, socket.auth()]).toEqual([[true], { epoch: 'e', offset: 7 }]);
  });

  test('tells the last position when it comes back, and whether something was missed', () => {
    const { connection, socket, heard, missed } = openLive();
    socket.hear('new_post', { id: 1 }, place(9));
    expect(heard).toEqual([['new_post', { id: 1 }, place(9)]]);
    socket.cut();
    expect([connection.status, socket.auth()]).toEqual(['connection lost', { epoch: 'e', offset: 9 }]);
    socket.accept();
    socket.hear('new_post', { id: 2 }, place(10));
    socket.hear('energex:session', session(true, 10));
    expect([connection.status, missed]).toEqual(['live', [true]]);
    socket.cut();
    socket.accept();
    socket.hear('energex:session', session(false, 2, 'f'));
    expect([missed, socket.auth()]).toEqual([[true, false], { epoch: 'f', offset: 2 }]);
  });

  test('has missed something when another epoch begins, whoever says so first', () => {
    const { socket, missed } = openLive();
    socket.hear('new_post', { id: 1 }, place(1, 'f'));
    expect(missed).toEqual([true, false]);
    socket.hear('energex:session', session(false, 1, 'f'));
    expect(missed).toEqual([true, false, false]);
  });

  test('keeps its position at what has none', () => {
    const { socket, heard } = openLive();
    socket.hear('new_post', { id: 1 }, { epoch: null, offset: null, version: null });
    expect([heard, socket.auth()]).toEqual([[['new_post', { id: 1 }, undefined]], { epoch: 'e', offset: 7 }]);
  });

  test('has no position while the service has none', () => {
    const { socket } = open();
    socket.accept();
    socket.hear('energex:session', { epoch: null, offset: null, recovered: false });
    expect(socket.auth()).toEqual({ epoch: null });
  });
});

describe('a connection that is sent away', () => {
  test('leaves when the instance stops, and comes back when it was told to', async () => {
    const { connection, socket, timing } = openLive();
    socket.hear('energex:drain', { delayMs: 700 });
    expect([connection.status, socket.active]).toEqual(['service stops', false]);
    await timing.advance(699);
    expect(socket.active).toBe(false);
    await timing.advance(1);
    expect([connection.status, socket.active]).toEqual(['unreachable', true]);
    socket.accept();
    expect(connection.status).toBe('joining');
  });

  test.each([
    ['nothing', undefined, 0],
    ['something odd', { delayMs: 'soon' }, 0],
    ['an hour', { delayMs: 3_600_000 }, 60_000],
  ])('is not sent for long when it is told %s', (_, data, ms) => {
    const { socket, timing } = openLive();
    socket.hear('energex:drain', data);
    expect(timing.nextMs).toBe(ms);
  });

  test('comes back by itself, after longer and longer times, each by chance', async () => {
    const { connection, socket, timing } = openLive();
    timing.chance = () => 0.25;
    socket.cut(true);
    expect([connection.status, timing.nextMs]).toEqual(['sent away', 1_500]);
    const pauses: (number | undefined)[] = [];
    for (let count = 0; count < 8; count += 1) {
      await timing.advance(timing.nextMs ?? 0);
      socket.refuse(true);
      pauses.push(timing.nextMs);
    }
    expect(pauses).toEqual([3_000, 6_000, 12_000, 24_000, 45_000, 45_000, 45_000, 45_000]);
    await timing.advance(45_000);
    socket.accept();
    socket.hear('energex:session', session(true));
    socket.cut(true);
    expect(timing.nextMs).toBe(1_500);
  });

  test('does not come back when it was closed', async () => {
    const { connection, socket, timing, heard } = openLive();
    socket.hear('energex:drain', { delayMs: 700 });
    connection.close();
    await timing.advance(1_000);
    socket.hear('new_post', { id: 1 }, place(9));
    expect([connection.status, socket.active, timing.waiting, heard]).toEqual(['closed', false, 0, []]);
  });
});

describe('answers are not newer than what is heard', () => {
  test('when they were given three seconds ago, once it has been live for as long', async () => {
    const { connection, timing } = openLive();
    await timing.advance(2_999);
    expect(connection.settledBefore).toBe(-Infinity);
    await timing.advance(1);
    expect(connection.settledBefore).toBe(0);
    await timing.advance(10_000);
    expect(connection.settledBefore).toBe(10_000);
  });

  test('when they were given before it was away, while it catches up', async () => {
    const { connection, socket, timing } = openLive();
    await timing.advance(20_000);
    socket.cut();
    await timing.advance(50_000);
    socket.accept();
    expect(connection.settledBefore).toBe(17_000);
    socket.hear('energex:session', session(true));
    await timing.advance(2_000);
    expect(connection.settledBefore).toBe(17_000);
    await timing.advance(1_000);
    expect(connection.settledBefore).toBe(70_000);
  });
});
