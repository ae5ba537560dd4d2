import { AsyncLocalStorage } from 'node:async_hooks';

/** The span that is under way; nothing of OpenTelemetry is loaded to know it. */
export interface Current {
  readonly traceId: string;
  readonly spanId: string;
  /** What the tracer has made. */
  readonly span: object;
}

export const current = new AsyncLocalStorage<Current>();

/** For each log line, by the names of OpenTelemetry's "Trace Context in non-OTLP Log Formats". */
export function traceFields(): { readonly trace_id?: string; readonly span_id?: string } {
  const here = current.getStore();
  return here === undefined ? {} : { trace_id: here.traceId, span_id: here.spanId };
}
