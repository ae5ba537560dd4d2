import type { Sample } from '../rounds.ts';
import type { PinnedProcess } from '../stage/pinned-process.ts';
import type { Stage } from '../stage/stage.ts';

/** What `servers/driver.ts` is told to do. */
export interface Work {
  readonly work: string;
  /** The ids, in turn. */
  readonly from: number;
  readonly to: number;
  readonly concurrency: number;
  readonly seconds: number;
}

export async function measureDriver(stage: Stage, driver: PinnedProcess, work: Work): Promise<Sample> {
  const [cpu, database] = [driver.cpuMicros(), stage.databaseCpuMicros()];
  const query = new URLSearchParams(
    Object.entries(work).map(([name, value]): [string, string] => [name, String(value)]),
  );
  const response = await fetch(`http://127.0.0.1:${driver.port}/?${query.toString()}`);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  const { count, seconds } = toDone(JSON.parse(text));
  return {
    rate: count / seconds,
    ms: (1000 * seconds * work.concurrency) / count,
    cpu: (driver.cpuMicros() - cpu) / count,
    redisCpu: 0,
    databaseCpu: (stage.databaseCpuMicros() - database) / count,
  };
}

function toDone(value: unknown): { count: number; seconds: number } {
  const members = new Map<string, unknown>(Object.entries(Object(value)));
  return { count: Number(members.get('count')), seconds: Number(members.get('seconds')) };
}
