import type { Reply } from './link.ts';
import { asArray, asText } from './replies.ts';

/** How to read what stands in a guard and in the fence table: `prelude.lua` says what is there. */

/** Of HGETALL. */
export function fieldsOf(reply: Reply | undefined): ReadonlyMap<string, string> {
  const texts = asArray(reply).map(asText);
  return new Map(texts.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, texts[at + 1] ?? '']] : [])));
}

/** Of TIME, in milliseconds: all deadlines go by the clock of Redis. */
export function clockOf(reply: Reply | undefined): number {
  const [seconds, micros] = asArray(reply);
  return Number(asText(seconds)) * 1000 + Math.floor(Number(asText(micros)) / 1000);
}

export interface Deadline {
  readonly token: string;
  /** By the clock of Redis; of one that has run out, below 0. */
  readonly remainingMs: number;
}

/** Of a field of the fence table. */
export function fencesIn(text: string, now: number): Deadline[] {
  return Array.from(text.matchAll(/(\S+):(\d+)/g), ([, token = '', deadline]) => ({
    token,
    remainingMs: Number(deadline) - now,
  }));
}

/** Milliseconds until a version without bytes expires; `null` when there is none any more. */
export function expiresIn(expires: string | undefined, now: number): number | null {
  const left = Number(expires ?? 0) - now;
  return left > 0 ? left : null;
}

/** The parts that a guard knows a version of. */
export function partsIn(fields: ReadonlyMap<string, string>): string[] {
  return [...fields.keys()]
    .flatMap((name) => (name.startsWith(versionOfPart) ? [name.slice(versionOfPart.length)] : []))
    .toSorted();
}

const versionOfPart = 'version#';
