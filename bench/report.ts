import type { Path, Target } from './paths/path.ts';
import { ratioOf, type Rounds, type Spread, spreadOf } from './rounds.ts';

/** What came out, as data: what is printed, drawn and kept as JSON. */
export interface Result {
  readonly path: string;
  readonly title: string;
  readonly base: string;
  readonly figure: string;
  readonly rows: readonly Row[];
  readonly targets: readonly { readonly target: Target; readonly reached: Spread; readonly isMet: boolean }[];
}

interface Row {
  readonly candidate: string;
  /** In relation to the base; below 1 is slower for a rate and faster for a time. */
  readonly ratio: Spread;
  /** The same of the server's processor time per request: what others take of the machine meanwhile hardly touches it. */
  readonly cpuRatio: Spread;
  readonly figures: Readonly<Record<string, Spread>>;
}

export function toResult(path: Path, rounds: Rounds): Result {
  const rows = [...rounds].map(([candidate, samples]) => ({
    candidate,
    ratio: ratioOf(rounds, candidate, path.base, path.figure),
    cpuRatio: ratioOf(rounds, path.base, candidate, 'cpu'),
    figures: Object.fromEntries(Object.keys(samples[0] ?? {}).map((name) => [name, spreadOf(samples, name)])),
  }));
  const targets = path.targets
    .filter(({ candidate, to }) => rounds.has(candidate) && (to === undefined || rounds.has(to)))
    .map((target) => {
      const { candidate, to, figure, least, most } = target;
      const reached =
        to === undefined ? spreadOf(rounds.get(candidate), figure) : ratioOf(rounds, candidate, to, figure);
      const isMet = reached.median >= (least ?? 0) && reached.median <= (most ?? Number.POSITIVE_INFINITY);
      return { target, reached, isMet };
    });
  return { path: path.name, title: path.title, base: path.base, figure: path.figure, rows, targets };
}

export function describe(result: Result): string {
  const lines = [`${result.path}: ${result.title}`];
  for (const { candidate, ratio, cpuRatio, figures } of result.rows) {
    const parts = Object.entries(figures).map(([name, { median }]) => `${name} ${short(median)}`);
    lines.push(
      `  ${candidate.padEnd(20)} ${range(ratio).padEnd(22)} of ${result.base.padEnd(8)} by cpu ${range(cpuRatio).padEnd(22)} ${parts.join('  ')}`,
    );
  }
  for (const { target, reached, isMet } of result.targets) {
    const { candidate, to, figure, least, most } = target;
    const bound = least === undefined ? `at most ${most}` : `at least ${least}`;
    const what = to === undefined ? `${figure} of ${candidate}` : `${candidate} of ${to}`;
    lines.push(`  ${isMet ? 'met   ' : 'MISSED'} ${what}: ${bound}, reached ${range(reached)}`);
  }
  return lines.join('\n');
}

function range({ median, low, high }: Spread): string {
  return `${short(median)} (${short(low)} to ${short(high)})`;
}

export function short(value: number): string {
  if (Number.isNaN(value)) return '-';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
