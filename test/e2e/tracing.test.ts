import { expect, test } from '@jest/globals';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../harness/otlp-receiver.ts';
import { backends, eventually } from '../harness/service.ts';
import { type ProcessOptions, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Spans, as they come to an OTLP receiver. */

const stops = stopAfterEach();

async function receive(): Promise<OtlpReceiver> {
  const receiver = await startOtlpReceiver();
  stops.push(receiver.stop);
  return receiver;
}

async function start(
  environment: Readonly<Record<string, string>>,
  options: ProcessOptions = {},
): Promise<ServiceProcess> {
  const service = await startServiceProcess({ ...options, environment });
  stops.push(service.stop);
  return service;
}

/** A service on real servers that are in use. */
async function startOnServers(environment: Readonly<Record<string, string>>): Promise<ServiceProcess> {
  const running = await backends.find(({ name }) => name !== 'embedded')?.start();
  if (running === undefined) throw new Error('no backend with servers');
  stops.push(running.stop);
  const service = await start({ ...running.environment, ...environment, AUDIT_PER_MILLION: '0' });
  await service.line(/is in use/);
  return service;
}

/** Ends the service, which sends what it has, and returns the spans of one trace, parents before their children. */
async function spansOf(service: ServiceProcess, { spans }: OtlpReceiver, traceId: string): Promise<ReceivedSpan[]> {
  service.signal('SIGTERM');
  await service.ended;
  return spans.filter((span) => span.traceId === traceId).toSorted((a, b) => Number(a.startedAt - b.startedAt));
}

/** `child <- parent`, by name. */
function lineage(spans: readonly ReceivedSpan[]): string[] {
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]));
  return spans.map(({ name, parentSpanId }) => `${name} <- ${names.get(parentSpanId) ?? parentSpanId}`);
}

/** That of the caller is not among them. */
const requestIn = (spans: readonly ReceivedSpan[]): ReceivedSpan | undefined =>
  spans.find(({ parentSpanId }) => spans.every(({ spanId }) => spanId !== parentSpanId));

const json = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };

/** A service that tells a receiver of its spans. */
async function startTraced(): Promise<{ receiver: OtlpReceiver; service: ServiceProcess }> {
  const receiver = await receive();
  const service = await startOnServers({ ...json, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, LOG_REQUESTS: 'false' });
  return { receiver, service };
}

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

test('a read that misses: the request, the read, Redis, the fill, the statement, in the trace of the caller', async () => {
  const { receiver, service } = await startTraced();
  const reply = await service.get('/cache/posts/77?x=secret', { traceparent });
  expect(reply.status).toBe(404);
  expect(reply.headers.get('traceresponse')).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  const spans = await spansOf(service, receiver, traceId);
  expect(lineage(spans)).toEqual(
    expect.arrayContaining([
      'GET /cache/posts/:id <- 00f067aa0ba902b7',
      'cache.read <- GET /cache/posts/:id',
      'redis acquire <- cache.read',
      'cache.fill <- cache.read',
      'SELECT <- cache.fill',
      'redis fill <- cache.fill',
    ]),
  );
  const request = requestIn(spans);
  expect(request?.attributes).toMatchObject({
    'http.request.method': 'GET',
    'http.route': '/cache/posts/:id',
    'http.response.status_code': 404,
    'url.path': '/cache/posts/77',
  });
  expect(spans.find(({ name }) => name === 'cache.read')?.attributes).toEqual({
    'cache.key': 'post:77',
    'cache.outcome': 'loaded',
    'cache.collapsed': false,
  });
  const statement = spans.find(({ name }) => name === 'SELECT')?.attributes['db.query.text'];
  expect(statement).toMatch(/^SELECT .* WHERE .*\?/s);
  expect(JSON.stringify(spans, (_, value) => (typeof value === 'bigint' ? String(value) : value))).not.toContain(
    'secret',
  );
  for (const { startedAt, endedAt } of spans) expect(endedAt).toBeGreaterThanOrEqual(startedAt);
  expect(receiver.resource).toMatchObject({ 'service.name': 'energex-cache' });
  expect(receiver.exports.every(({ path }) => path === '/v1/traces')).toBe(true);
});

test('a hit and a write, and requests at the same time each in their own trace', async () => {
  const { receiver, service } = await startTraced();
  const others = ['a', 'b', 'c'].map((digit) => digit.repeat(32));
  await service.get('/cache/posts');
  await service.get('/cache/posts', { traceparent: `00-${'d'.repeat(32)}-00f067aa0ba902b7-01` });
  await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 }, { traceparent });
  await Promise.all(
    others.map(async (each, index) => {
      await service.get(`/cache/posts/${index + 1}`, { traceparent: `00-${each}-00f067aa0ba902b7-01` });
    }),
  );
  const written = await spansOf(service, receiver, traceId);
  expect(lineage(written)).toEqual(
    expect.arrayContaining([
      'POST /cache/posts <- 00f067aa0ba902b7',
      'cache.write <- POST /cache/posts',
      'BEGIN <- cache.write',
    ]),
  );
  const hit = receiver.spans.filter((span) => span.traceId === 'd'.repeat(32));
  expect(hit.map(({ name }) => name).toSorted()).toEqual(['GET /cache/posts', 'cache.read', 'redis hget']);
  expect(hit.find(({ name }) => name === 'cache.read')?.attributes['cache.outcome']).toBe('hit');
  for (const [index, each] of others.entries()) {
    const own = receiver.spans.filter((span) => span.traceId === each);
    expect(lineage(own)).toEqual(
      expect.arrayContaining(['cache.read <- GET /cache/posts/:id', 'cache.fill <- cache.read']),
    );
    const keys = own.filter(({ name }) => name.startsWith('cache.')).map(({ attributes }) => attributes['cache.key']);
    expect(new Set(keys)).toEqual(new Set([`post:${index + 1}`]));
  }
});

test('each line of the log that belongs to a request has its trace; what the caller does not sample is not sent', async () => {
  const receiver = await receive();
  const service = await start({ ...json, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/own/path` });
  await service.get('/cache/posts/1', { traceparent });
  const unsampled = 'e'.repeat(32);
  await service.get('/cache/posts/1', { traceparent: `00-${unsampled}-00f067aa0ba902b7-00` });
  await service.get('/cache/posts/1', { traceparent: 'nonsense' });
  await eventually(async () => service.lines.filter((line) => line.includes('"request"')).length === 3);
  const logged = service.lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request');
  expect(logged.map((line) => line.trace_id).slice(0, 2)).toEqual([traceId, unsampled]);
  expect(logged[2].trace_id).toMatch(/^[0-9a-f]{32}$/);
  const spans = await spansOf(service, receiver, traceId);
  expect(requestIn(spans)?.spanId).toBe(logged[0].span_id);
  expect(receiver.spans.filter((span) => span.traceId === unsampled)).toEqual([]);
  expect(receiver.spans.some((span) => span.traceId === logged[2].trace_id)).toBe(true);
  expect(receiver.exports[0]?.path).toBe('/own/path');
});

test('protobuf is what is sent unless told otherwise', async () => {
  const receiver = await receive();
  const service = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  await service.get('/cache/posts/1', { traceparent });
  service.signal('SIGTERM');
  await service.ended;
  expect(receiver.exports).toMatchObject([{ path: '/v1/traces', type: 'application/x-protobuf' }]);
  // The id of the trace is 16 bytes as they are.
  expect(receiver.exports[0]?.body.includes(Buffer.from(traceId, 'hex'))).toBe(true);
  expect(receiver.exports[0]?.body.includes('cache.read')).toBe(true);
});

test('a collector that is away keeps nobody waiting, and is told of', async () => {
  const service = await start({ ...json, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', LOG_REQUESTS: 'false' });
  expect((await service.get('/cache/posts/1')).status).toBe(200);
  expect((await service.get('/readyz')).headers.get('traceresponse')).toBeNull();
  service.signal('SIGTERM');
  const { code, afterMs } = await service.ended;
  expect(code).toBe(0);
  expect(afterMs).toBeLessThan(5_000);
  expect(service.lines.filter((line) => line.includes('Traces: the collector did not take'))).toHaveLength(1);
});

test.each([
  ['no exporter is configured', {}],
  ['the SDK is disabled', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_SDK_DISABLED: 'true' }],
  ['there is to be none', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_TRACES_EXPORTER: 'none' }],
])('nothing is traced when %s', async (_, environment) => {
  const service = await start(environment);
  const reply = await service.get('/cache/posts/1', { traceparent });
  expect(reply.headers.get('traceresponse')).toBeNull();
  await eventually(async () => service.lines.some((line) => line.includes('"request"')));
  expect(service.lines.join('\n')).not.toMatch(/trace_id|Traces:/);
});
