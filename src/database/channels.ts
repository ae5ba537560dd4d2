import { channel } from 'node:diagnostics_channel';

/** What the connections to the database tell the world: metrics and traces subscribe. */
export interface StatementEvent {
  readonly system: System;
  readonly operation: Operation;
  /** With placeholders; never a value. */
  readonly sql: string;
  /** Of `performance.now()`. */
  readonly startedAt: number;
  readonly ms: number;
  readonly failed: boolean;
}

export const operations = ['select', 'insert', 'update', 'delete', 'begin', 'commit', 'rollback', 'other'] as const;
export type System = 'mysql' | 'sqlite';
export type Operation = (typeof operations)[number];

export const statementsChannel = channel('energex:database');

/** Who answered a load: a replica, or the primary because none had come so far in time, or because nobody knew how far. */
export type LoadAnswer = 'replica' | 'behind' | 'unknown';
export const loadAnswers: readonly LoadAnswer[] = ['replica', 'behind', 'unknown'];

export const loadsChannel = channel('energex:loads');

export function publishLoad(answer: LoadAnswer): void {
  loadsChannel.publish(answer);
}

function publish(event: StatementEvent): void {
  statementsChannel.publish(event);
}

/** Resolves as what it asks, and tells how long that took. */
export async function observed<T>(system: System, sql: string, ask: () => Promise<T>): Promise<T> {
  if (!statementsChannel.hasSubscribers) return await ask();
  const startedAt = performance.now();
  let failed = true;
  try {
    const result = await ask();
    failed = false;
    return result;
  } finally {
    const ms = performance.now() - startedAt;
    publish({ system, operation: operationOf(sql), sql, startedAt, ms, failed });
  }
}

function operationOf(sql: string): Operation {
  const word = /^\s*(\w+)/.exec(sql)?.[1]?.toLowerCase() ?? '';
  return words.get(word) ?? 'other';
}

const words = new Map<string, Operation>([
  ...operations.map((operation): [string, Operation] => [operation, operation]),
  ['start', 'begin'],
]);
