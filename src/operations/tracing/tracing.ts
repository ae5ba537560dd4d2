import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { withDeadline } from '../../deadline.ts';
import type { Settings } from '../../options.ts';

/** Spans of requests and of what they lead to, sent to a collector. */
export interface Tracing {
  /** To be called before any route is made. */
  readonly traceRequests: (app: FastifyInstance) => void;
  /** Sends what is left, for two seconds at most. */
  stop(): Promise<void>;
}

/** `undefined` unless an exporter is configured; then nothing of OpenTelemetry is loaded either. */
export async function startTracing(settings: Settings, log: Logger): Promise<Tracing | undefined> {
  if (!isConfigured(settings)) return undefined;
  const [{ openProvider }, { traceEngine }, { traceRequests }] = await Promise.all([
    import('./exporter.ts'),
    import('./spans.ts'),
    import('./http.ts'),
  ]);
  const provider = await openProvider(settings, log);
  const tracer = provider.getTracer('energex-cache');
  const stopTracing = traceEngine(tracer);
  log.info('Traces: spans of all requests are sent by OTLP; hits take the whole way');
  return {
    traceRequests: (app) => traceRequests(app, tracer),
    async stop() {
      stopTracing();
      const isSent = provider.shutdown().then(
        () => true,
        () => false,
      );
      if (!(await withDeadline(flushMs, isSent, () => false)))
        log.warn('Traces: the collector did not take the last spans');
    },
  };
}

function isConfigured(settings: Settings): boolean {
  const { OTEL_TRACES_EXPORTER: exporter, OTEL_SDK_DISABLED: isDisabled } = settings;
  if (isDisabled === 'true' || exporter === 'none') return false;
  const endpoint = settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? settings.OTEL_EXPORTER_OTLP_ENDPOINT;
  return exporter === 'otlp' || endpoint !== undefined;
}

const flushMs = 2_000;
