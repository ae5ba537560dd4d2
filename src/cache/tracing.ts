import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import type { Key } from './key.ts';

/**
 * Work of the engine that has a beginning and an end, for traces: `tracing:energex:cache.read:start` and its like. Who
 * subscribes can bind a store to the beginning, so that what happens within knows whose part it is. Without subscribers the
 * work is done as if this were not here.
 */
export type TracedRead = { readonly key: Key };
export type TracedWrite = Record<string, never>;

/** A read that was answered by a flight; hits in front of it have no span. */
export const readTrace = tracingChannel<unknown, TracedRead>('energex:cache.read');
/** Loading and storing a value. */
export const fillTrace = tracingChannel<unknown, TracedRead>('energex:cache.fill');
/** From before the transaction until its fence is released. */
export const writeTrace = tracingChannel<unknown, TracedWrite>('energex:cache.write');

type Traced<M extends object> = ReturnType<typeof tracingChannel<unknown, M>>;

export function traced<M extends object, T>(trace: Traced<M>, message: M, work: () => Promise<T>): Promise<T> {
  return trace.hasSubscribers ? trace.tracePromise(work, message) : work();
}

/** For work that begins later, in somebody else's turn: as part of what asks for it now. */
export function asPartOf<T>(work: () => Promise<T>): () => Promise<T> {
  return readTrace.hasSubscribers ? AsyncLocalStorage.bind(work) : work;
}
