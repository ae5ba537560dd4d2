import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Stage } from './stage.ts';

/** What Redis can do at most for what a validation asks of it, by its own benchmark. */
export interface RedisFloor {
  /** Questions that go out together. */
  readonly together: number;
  readonly perSecond: number;
  /** Processor time of Redis for each, in microseconds. */
  readonly micros: number;
}

const run = promisify(execFile);
const questions = 300_000;

export const hasRedisBenchmark = ((): boolean => {
  try {
    execFileSync('redis-benchmark', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** `redis-benchmark` on the processor of the load, asking for the version of one key: one by one, and 16 in a batch. */
export async function measureRedisFloor(stage: Stage): Promise<readonly RedisFloor[]> {
  const { redis } = stage;
  const { host, port } = redis.options;
  const server = ['-h', String(host), '-p', String(port), '-q', '--csv'];
  const question = ['HGET', '{bench}:guard', 'version'];
  await redis.hset('{bench}:guard', 'version', 'run.1.database.1');
  const floors: RedisFloor[] = [];
  for (const together of [1, 16]) {
    const before = await stage.redisWork();
    const load = ['-n', String(questions), '-c', '32', '-P', String(together)];
    const { stdout } = await run('taskset', ['-c', '1', 'redis-benchmark', ...server, ...load, ...question]);
    const after = await stage.redisWork();
    const perSecond = Number(/^"HGET[^"]*","([\d.]+)"/m.exec(stdout)?.[1]);
    floors.push({ together, perSecond, micros: (after.cpuMicros - before.cpuMicros) / questions });
  }
  await redis.del('{bench}:guard');
  return floors;
}

export function describeRedisFloor(floors: readonly RedisFloor[]): string {
  const lines = floors.map(
    ({ together, perSecond, micros }) =>
      `  ${together} at a time: ${Math.round(perSecond).toLocaleString('en')} a second, ${micros.toFixed(1)} us of Redis each`,
  );
  return ['Redis alone (redis-benchmark, HGET of one field)', ...lines].join('\n');
}
