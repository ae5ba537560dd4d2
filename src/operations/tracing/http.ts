import { ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Current, current } from './context.ts';
import { spanOf, toCurrent } from './spans.ts';

/**
 * A span for each request, in the trace that its `traceparent` names (W3C Trace Context). The answer says which it was, by
 * `traceresponse` (Trace Context, level 2).
 */
export function traceRequests(app: FastifyInstance, tracer: Tracer): void {
  const spans = new WeakMap<FastifyRequest, Current>();
  const within = (request: FastifyRequest, goOn: () => void): void => {
    const own = spans.get(request);
    if (own === undefined) goOn();
    else current.run(own, goOn);
  };
  app.addHook('onRequest', (request, reply, done) => {
    if (untraced.has(request.routeOptions.url ?? '')) {
      done();
      return;
    }
    const own = begin(tracer, request);
    spans.set(request, own);
    const flags = spanOf(own).spanContext().traceFlags.toString(16).padStart(2, '0');
    reply.header('traceresponse', `00-${own.traceId}-${own.spanId}-${flags}`);
    within(request, done);
  });
  // The body comes in events of the connection, which belong to nobody.
  app.addHook('preValidation', (request, _reply, done) => within(request, done));
  app.addHook('onResponse', (request, reply, done) => {
    const own = spans.get(request);
    if (own !== undefined) {
      const status = reply.raw.statusCode;
      spanOf(own).setAttribute('http.response.status_code', status);
      if (status >= 500) spanOf(own).setStatus({ code: SpanStatusCode.ERROR });
      spanOf(own).end();
    }
    within(request, done);
  });
}

function begin(tracer: Tracer, request: FastifyRequest): Current {
  const context = propagator.extract(ROOT_CONTEXT, request.headers, {
    get: (headers, name) => headers[name],
    keys: (headers) => Object.keys(headers),
  });
  const route = request.routeOptions.url;
  const attributes = {
    'http.request.method': request.method,
    'url.path': request.url.replace(/\?.*/s, ''),
    'url.scheme': request.protocol,
    ...(route === undefined ? {} : { 'http.route': route }),
  };
  const name = route === undefined ? request.method : `${request.method} ${route}`;
  return toCurrent(tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, context));
}

/** Asked every few seconds by machines. */
const untraced = new Set(['/livez', '/readyz', '/metrics', '/cache/health']);

const propagator = new W3CTraceContextPropagator();
