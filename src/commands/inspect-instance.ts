import type { Key } from '../cache/key.ts';
import type { OperatorApi } from './running-instance.ts';

/** What an instance says of a key, as `GET /dashboard/api/key` has it. */
interface Told {
  readonly state: string;
  readonly version?: string | null;
  /** At most so many milliseconds. */
  readonly ageMs?: number;
  readonly ttlMs?: number | null;
  readonly bytes?: number | null;
  readonly guard: Readonly<Record<string, string>>;
}

/** Of the embedded default only the process that serves can tell, because its cache is there. Rejects with `COMMAND_FAILED`. */
export async function inspectInInstance(
  key: Key,
  operators: OperatorApi,
): Promise<{ document: object; lines: string[] }> {
  const answer = await operators.ask(`/key?${new URLSearchParams({ key }).toString()}`);
  // Of an instance of the same version: `ask` has refused what is none.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const told = answer as Told;
  const { state, version, ageMs, ttlMs, bytes, guard } = told;
  const row = (name: string, text: string): string => `  ${name.padEnd(8)} ${text}`;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const lines = [
    `state: ${state}, as ${operators.url} sees it`,
    row('version', version ?? 'none'),
    ...(ageMs === undefined ? [] : [row('age', `at most ${seconds(ageMs)}`)]),
    ...(ttlMs === undefined || ttlMs === null ? [] : [row('ttl', seconds(ttlMs))]),
    ...(bytes === undefined || bytes === null ? [] : [row('size', `${bytes} bytes`)]),
    ...Object.entries(guard).map(([name, text]) => row(name === 'state' ? 'guard' : name, text)),
  ];
  return { document: { state, instance: operators.url, found: told }, lines };
}
