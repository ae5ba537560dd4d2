import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { LOOPBACK } from './free-port.ts';

/** A span as it came, with what tests look at. */
export type ReceivedSpan = {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly startedAt: bigint;
  readonly endedAt: bigint;
  readonly isError: boolean;
};

/** What an OpenTelemetry collector is to the service: OTLP over HTTP. Spans are read from JSON; protobuf is kept as it came. */
export type OtlpReceiver = {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  /** Path, content type and bytes of each export. */
  readonly exports: readonly { readonly path: string; readonly type: string; readonly body: Buffer }[];
  /** Attributes of the resource that sent the last export. */
  readonly resource: Readonly<Record<string, string | number | boolean>>;
  stop(): Promise<void>;
};

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const exports: { path: string; type: string; body: Buffer }[] = [];
  let resource: ReceivedSpan['attributes'] = {};
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const type = request.headers['content-type'] ?? '';
      exports.push({ path: request.url ?? '', type, body });
      if (type === 'application/json') {
        for (const each of JSON.parse(body.toString()).resourceSpans) {
          resource = toAttributes(each.resource.attributes);
          for (const scope of each.scopeSpans) spans.push(...scope.spans.map(toSpan));
        }
      }
      response.setHeader('content-type', type).end(type === 'application/json' ? '{}' : '');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${LOOPBACK}:${port}`,
    spans,
    exports,
    get resource() {
      return resource;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Sent = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes?: readonly Attribute[];
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status?: { readonly code?: number };
};

type Attribute = {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string; readonly boolValue?: boolean };
};

function toSpan(sent: Sent): ReceivedSpan {
  const { traceId, spanId, parentSpanId = '', name, attributes = [], status } = sent;
  const [startedAt, endedAt] = [BigInt(sent.startTimeUnixNano), BigInt(sent.endTimeUnixNano)];
  const isError = status?.code === 2;
  return { traceId, spanId, parentSpanId, name, attributes: toAttributes(attributes), startedAt, endedAt, isError };
}

function toAttributes(attributes: readonly Attribute[]): ReceivedSpan['attributes'] {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? (value.intValue === undefined ? '' : Number(value.intValue)),
    ]),
  );
}
