import { diag, DiagLogLevel } from '@opentelemetry/api';
import { setGlobalErrorHandler } from '@opentelemetry/core';
import {
  detectResources,
  envDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import { describeError } from '../../errors.ts';
import type { Settings } from '../../options.ts';

/** A provider that sends spans by OTLP, in batches and in the background, as the standard `OTEL_` variables say. */
export async function openProvider(settings: Settings, log: Logger): Promise<TracerProvider> {
  reportTo(log);
  return new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': settings.OTEL_SERVICE_NAME }).merge(
      detectResources({ detectors: [envDetector, serviceInstanceIdDetector] }),
    ),
    sampler: samplerOf(settings),
    spanProcessors: [new BatchSpanProcessor({ exporter: await openExporter(settings) })],
  });
}

/** What else the exporter wants to know (headers, time-out, certificates) it reads from the environment itself. */
async function openExporter(settings: Settings): Promise<SpanExporter> {
  const url = tracesUrl(settings);
  const options = url === undefined ? {} : { url };
  if (settings.OTEL_EXPORTER_OTLP_PROTOCOL === 'http/json') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
    return new OTLPTraceExporter(options);
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter(options);
}

/** The one for traces as it is; what is for all signals gets the path of traces (OTLP exporter specification). */
function tracesUrl(settings: Settings): string | undefined {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: own, OTEL_EXPORTER_OTLP_ENDPOINT: shared } = settings;
  if (own !== undefined) return own.href;
  return shared === undefined ? undefined : `${shared.href.replace(/\/$/, '')}/v1/traces`;
}

function samplerOf({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: share }: Settings): Sampler {
  switch (name) {
    case 'always_on':
      return new AlwaysOnSampler();
    case 'always_off':
      return new AlwaysOffSampler();
    case 'traceidratio':
      return new TraceIdRatioBasedSampler(share);
    case 'parentbased_always_on':
      return new ParentBasedSampler({ root: new AlwaysOnSampler() });
    case 'parentbased_always_off':
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
    case 'parentbased_traceidratio':
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) });
  }
}

/** A collector that is away is told of once for each reason: it is tried again with every batch. */
function reportTo(log: Logger): void {
  const told = new Set<string>();
  const warn = (message: string): void => {
    const reason = message.replaceAll(/\d+/g, '0');
    if (told.has(reason) || told.size >= mostReasons) return;
    told.add(reason);
    log.warn(`Traces: ${message}`);
  };
  setGlobalErrorHandler((error) => warn(describeError(error)));
  const ignore = (): void => undefined;
  const logger = { error: warn, warn, info: ignore, debug: ignore, verbose: ignore };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}

const mostReasons = 10;
