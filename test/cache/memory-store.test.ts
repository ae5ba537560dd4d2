import { describe, expect, test } from '@jest/globals';
import { MemoryStore } from '../../src/cache/memory-store.ts';
import { describeCacheStore } from '../contracts/cache-store.ts';
import { ManualClock } from '../harness/manual-clock.ts';

function open(maxBytes = 64 * 1024 * 1024): { store: MemoryStore; clock: ManualClock } {
  const clock = new ManualClock();
  return { store: new MemoryStore({ maxBytes, now: clock.now, runId: 'run' }), clock };
}

describeCacheStore('the in-memory store', async () => {
  const { store, clock } = open();
  return { store, elapse: (ms) => clock.advance(ms), close: () => store.close() };
});

describe('the in-memory store', () => {
  const leaseMs = 1_000;

  async function put(store: MemoryStore, key: string, bytes: number): Promise<void> {
    const acquired = await store.acquire(key, leaseMs);
    if (acquired.kind !== 'lease') throw new Error(acquired.kind);
    await store.fill(key, acquired.token, { value: Buffer.alloc(bytes), meta: '', ttlMs: 60_000, loadMs: 1 });
  }

  test('keeps within its bound, and forgets what was not used for longest', async () => {
    const { store } = open(100 * 1024);
    for (let count = 0; count < 1_000; count += 1) {
      await put(store, `post:${count}`, 1_000);
      await store.read('post:0');
    }
    expect(store.size).toBeLessThan(70);
    expect(await store.read('post:0')).not.toBeNull();
    expect(await store.read('post:1')).toBeNull();
    expect(await store.read('post:999')).not.toBeNull();
  });

  test('does not keep a value above its bound, and gives the lease out again', async () => {
    const { store } = open(10 * 1024);
    await put(store, 'posts:all', 20 * 1024);
    expect(await store.read('posts:all')).toBeNull();
    expect((await store.acquire('posts:all', leaseMs)).kind).toBe('lease');
  });

  test('holds nothing for a name whose parts were evicted and whose fences are released', async () => {
    const { store } = open(10 * 1024);
    for (let part = 0; part < 100; part += 1) await put(store, `posts:all#${part}`, 2_000);
    await store.fence(['posts:all'], 'writer', 1_000);
    expect(store.size).toBe(0);
    await store.release(['posts:all'], 'writer');
    await store.close();
    expect(store.size).toBe(0);
  });
});
