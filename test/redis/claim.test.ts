import { beforeEach, describe, expect, test } from '@jest/globals';
import { CatalogueError } from '../../src/errors.ts';
import { ClaimLease, type ClaimPort } from '../../src/redis/claim.ts';
import { ManualClock, settle } from '../harness/manual-clock.ts';

type Claim = Awaited<ReturnType<ClaimPort['read']>>;

describe('the claim as a lease', () => {
  let clock: ManualClock;
  let claim: Claim;
  /** What the database answers with instead. */
  let failure: Error | undefined;
  let gate: Promise<void> | undefined;
  let reads: number;
  let lease: ClaimLease;

  beforeEach(async () => {
    clock = new ManualClock();
    claim = { run: 'a', generation: '7', settled: false };
    failure = undefined;
    gate = undefined;
    reads = 0;
    const port: ClaimPort = {
      make: async () => claim,
      read: async () => {
        reads += 1;
        await gate;
        if (failure !== undefined) throw failure;
        return claim;
      },
      settle: async (generation) => {
        if (failure !== undefined) throw failure;
        if (generation === claim.generation) claim = { ...claim, settled: true };
      },
    };
    lease = new ClaimLease(port, clock);
    expect(lease.isHeld).toBe(false);
    await lease.make('a', () => true);
  });

  test('is held for a second and a half after it was made, and after each look that finds it', async () => {
    expect(lease.generation).toBe('7');
    await clock.advance(1_499);
    expect(lease.isHeld).toBe(true);
    expect(await lease.look('a')).toBeUndefined();
    await clock.advance(1_499);
    expect(lease.isHeld).toBe(true);
    await clock.advance(1);
    expect(lease.isHeld).toBe(false);
  });

  test('one that comes back when it is not wanted any more counts for nothing', async () => {
    claim = { run: 'b', generation: '8', settled: true };
    await lease.make('b', () => false);
    expect(lease.generation).toBe('7');
  });

  test('is settled once it was seen for as long as others may still hold the one before', async () => {
    await clock.advance(1_400);
    await lease.look('a');
    expect(claim.settled).toBe(false);
    await clock.advance(100);
    await lease.look('a');
    expect(claim.settled).toBe(true);
  });

  test('making the same claim again does not begin that time anew; failing to settle it is tried again', async () => {
    await clock.advance(1_000);
    await lease.make('a', () => true);
    await clock.advance(500);
    failure = new Error('away');
    await lease.look('a');
    failure = undefined;
    await lease.look('a');
    expect(claim.settled).toBe(true);
  });

  test('another run, and another claim of the same run, end it', async () => {
    claim = { run: 'b', generation: '8', settled: true };
    expect(await lease.look('a')).toBe('left');
    claim = { run: 'a', generation: '9', settled: true };
    expect(await lease.look('a')).toBe('renewed');
    await clock.advance(1_500);
    expect(lease.isHeld).toBe(false);
  });

  test('while the database is away nobody can claim: it is held on', async () => {
    await clock.advance(1_000);
    failure = new CatalogueError('DATABASE_UNAVAILABLE');
    expect(await lease.look('a')).toBeUndefined();
    await clock.advance(1_000);
    expect(lease.isHeld).toBe(true);
  });

  test('a database that is busy may have another claim: that holds nothing', async () => {
    await clock.advance(1_000);
    failure = new CatalogueError('DATABASE_BUSY');
    expect(await lease.look('a')).toBeUndefined();
    await clock.advance(500);
    expect(lease.isHeld).toBe(false);
  });

  test('a database that hangs counts as away, is asked one question at a time, and its late answer counts from the asking', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    for (let looks = 0; looks < 4; looks += 1) {
      const looking = lease.look('a');
      await clock.advance(500);
      expect(await looking).toBeUndefined();
      expect(lease.isHeld).toBe(true);
    }
    expect(reads).toBe(1);
    claim = { run: 'b', generation: '8', settled: true };
    const late = lease.look('a');
    resolve();
    await settle();
    expect(await late).toBe('left');
  });
});
