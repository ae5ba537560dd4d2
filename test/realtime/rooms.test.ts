import { describe, expect, test } from '@jest/globals';
import { ConnectionsPerAddress, Rate } from '../../src/realtime/limits.ts';
import { audienceOf, roomsOf } from '../../src/realtime/rooms.ts';
import { resources } from '../../src/resources/registry.ts';
import { ManualClock } from '../harness/manual-clock.ts';

describe('rooms', () => {
  const isRoom = roomsOf(resources);

  test.each(['posts', 'post:1', 'post:18446744073709551615'])('%s is one', (name) => expect(isRoom(name)).toBe(true));
  test.each(['', 'post', 'posts:1', 'post:', 'post:0', 'post:01', 'post:x', 'post:1:2', 'users', 'energex:everyone'])(
    '"%s" is none',
    (name) => expect(isRoom(name)).toBe(false),
  );

  test('a change goes to those who want all and those of its rooms, a message to everyone', () => {
    expect(audienceOf(['posts', 'post:1'])).toEqual(['energex:everything', 'posts', 'post:1']);
    expect(audienceOf([])).toEqual(['energex:everyone']);
  });
});

describe('a rate', () => {
  test('lets a burst pass, then so many a second', async () => {
    const clock = new ManualClock();
    const rate = new Rate(clock, 10, 3);
    const take = (): boolean[] => [1, 2, 3, 4].map(() => rate.take());
    expect(take()).toEqual([true, true, true, false]);
    await clock.advance(100);
    expect(take()).toEqual([true, false, false, false]);
    await clock.advance(10_000);
    expect(take()).toEqual([true, true, true, false]);
  });
});

test('a list of proxies that names no network is refused at once', () => {
  expect(() => new ConnectionsPerAddress(1, ['nowhere'])).toThrow('invalid');
});
