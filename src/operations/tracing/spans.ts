import {
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TimeInput,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import type { Channel, TracingChannel } from 'node:diagnostics_channel';
import { fillTrace, readTrace, type TracedRead, writeTrace } from '../../cache/tracing.ts';
import { type StatementEvent, statementsChannel } from '../../database/channels.ts';
import { type CommandsEvent, commandsChannel } from '../../redis/channels.ts';
import { type Current, current } from './context.ts';

/** Begins a span within the one that is under way, if there is one. */
function beginSpan(tracer: Tracer, name: string, options: SpanOptions): Current {
  const parent = current.getStore();
  const context = parent === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, spanOf(parent));
  return toCurrent(tracer.startSpan(name, options, context));
}

interface SpanOptions {
  readonly kind: SpanKind;
  readonly attributes: Record<string, string | number>;
  readonly startTime?: TimeInput;
}

export function toCurrent(span: Span): Current {
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId, span };
}

export function spanOf({ span }: Current): Span {
  // Nobody else makes these.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return span as Span;
}

/**
 * Spans from what the engine and the adapters tell. Redis commands and statements are told of when they are over; those that
 * went out together for several requests stand in the trace of the first, with their number.
 */
export function traceEngine(tracer: Tracer): () => void {
  const stops = [
    traceWork(tracer, readTrace, 'cache.read', ({ key }: TracedRead) => ({ 'cache.key': key })),
    traceWork(tracer, fillTrace, 'cache.fill', ({ key }: TracedRead) => ({ 'cache.key': key })),
    traceWork(tracer, writeTrace, 'cache.write', () => ({})),
    listen(commandsChannel, (message) => {
      // The channel carries what `publish` of `redis/channels.ts` takes, and nothing else.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const { command, count, ...times } = message as CommandsEvent;
      const attributes = {
        'db.system.name': 'redis',
        'db.operation.name': command,
        'db.operation.batch.size': count,
      };
      addSpan(tracer, `redis ${command}`, attributes, times);
    }),
    listen(statementsChannel, (message) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const { system, operation, sql, ...times } = message as StatementEvent;
      const name = operation.toUpperCase();
      const attributes = { 'db.system.name': system, 'db.operation.name': name, 'db.query.text': sql };
      addSpan(tracer, name, attributes, times);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function listen(channel: Channel, hear: (message: unknown) => void): () => void {
  channel.subscribe(hear);
  return () => {
    channel.unsubscribe(hear);
  };
}

/** Not on their own: pings, sweeps and the change feed would be a trace each. */
function addSpan(
  tracer: Tracer,
  name: string,
  attributes: Record<string, string | number>,
  { startedAt, ms, failed }: { readonly startedAt: number; readonly ms: number; readonly failed: boolean },
): void {
  if (current.getStore() === undefined) return;
  const startTime = performance.timeOrigin + startedAt;
  const span = spanOf(beginSpan(tracer, name, { kind: SpanKind.CLIENT, attributes, startTime }));
  if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(startTime + ms);
}

function traceWork<M extends object>(
  tracer: Tracer,
  work: TracingChannel<unknown, M>,
  name: string,
  attributesOf: (message: M) => Record<string, string | number>,
): () => void {
  const begun = new WeakMap<object, Span>();
  work.start.bindStore(current, (message) => {
    const begins = beginSpan(tracer, name, { kind: SpanKind.INTERNAL, attributes: attributesOf(message) });
    begun.set(message, spanOf(begins));
    return begins;
  });
  const failed = (message: object): void => {
    begun.get(message)?.setStatus({ code: SpanStatusCode.ERROR });
  };
  const ended = (message: object): void => {
    const span = begun.get(message);
    const { outcome, collapsed } = Object(Object(message).result);
    if (typeof outcome?.kind === 'string') span?.setAttribute('cache.outcome', outcome.kind);
    if (typeof collapsed === 'boolean') span?.setAttribute('cache.collapsed', collapsed);
    span?.end();
  };
  const hearers = { start: ignore, end: ignore, asyncStart: ignore, error: failed, asyncEnd: ended };
  work.subscribe(hearers);
  return () => {
    work.unsubscribe(hearers);
    work.start.unbindStore(current);
  };
}

function ignore(): void {
  // Spans begin with the store that is bound.
}
