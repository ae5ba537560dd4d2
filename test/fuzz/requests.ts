import fc from 'fast-check';
import { httpDocument } from '../harness/openapi-check.ts';

/** Requests out of the OpenAPI document: what it allows, and what it does not. */
export interface Case {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer | undefined;
}

type Schema = Readonly<Record<string, unknown>>;
type Parameter = { readonly name: string; readonly in: string; readonly schema: Schema };
type Operation = {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
};

const document = httpDocument();

/** All operations, those of resources more often; `known` are values that the service has given out: entity tags, cursors. */
export function requests(known: Known): fc.Arbitrary<Case> {
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      weight: path.startsWith('/cache/posts') ? 10 : 1,
      // The document is made of these.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      arbitrary: operationCase(method.toUpperCase(), path, operation as Operation, known),
    })),
  );
  return fc.oneof(...all);
}

export interface Known {
  readonly tags: readonly string[];
  readonly cursors: readonly string[];
  readonly secret: string;
}

function operationCase(method: string, template: string, operation: Operation, known: Known): fc.Arbitrary<Case> {
  const parameters = operation.parameters ?? [];
  const schema = operation.requestBody?.content['application/json']?.schema;
  return fc
    .record({
      method: mostly(
        fc.constant(method),
        fc.constantFrom('HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND', 'GET', 'PUT'),
      ),
      values: fc.record(Object.fromEntries(parameters.map((each) => [each.name, parameterValue(each, known)])), {
        requiredKeys: parameters.filter((each) => each.in === 'path').map(({ name }) => name),
      }),
      query: sometimes(oddQuery),
      headers: fc.array(oddHeader(known), { maxLength: 3 }),
      type: mostly(fc.constant('application/json'), oddType),
      body: schema === undefined ? sometimes(oddBody) : mostly(validBody(schema), oddBody),
    })
    .map(({ values, query, headers, type, body, ...rest }) => {
      const given = new Map(Object.entries(values));
      const path = template.replace(/\{(\w+)\}/g, (_, name: string) => given.get(name) ?? '');
      const search = parameters
        .filter((each) => each.in === 'query' && given.has(each.name))
        .map(({ name }) => `${name}=${encode(given.get(name) ?? '')}`);
      if (query !== undefined) search.push(query);
      const ownHeaders = parameters
        .filter((each) => each.in === 'header' && given.has(each.name))
        .map(({ name }): [string, string] => [name, given.get(name) ?? '']);
      const typed: [string, string][] = body === undefined ? [] : [['Content-Type', type]];
      return {
        ...rest,
        path: `${path}${search.length === 0 ? '' : `?${search.join('&')}`}`,
        headers: [...ownHeaders, ...headers, ...typed],
        body,
      };
    });
}

function mostly<T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 4, arbitrary: usual }, { weight: 1, arbitrary: odd });
}

function sometimes<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined, freq: 1 });
}

/** One character of it is another, is missing, or is there twice. */
function mutated(text: string): fc.Arbitrary<string> {
  return fc
    .tuple(fc.nat(Math.max(0, text.length - 1)), fc.constantFrom('', 'A', '_', '-', '0', '"', '='), fc.boolean())
    .map(([at, other, keep]) => text.slice(0, at) + other + text.slice(keep ? at : at + 1));
}

function oneOfKnown(values: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(fc.constantFrom(...values), fc.constantFrom(...values).chain(mutated), visible(40));
}

/** May stand in a header. */
function visible(maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength });
}

function parameterValue({ name, in: place, schema }: Parameter, known: Known): fc.Arbitrary<string> {
  if (name === 'after') return oneOfKnown(known.cursors);
  if (name.startsWith('If-')) return oneOfKnown(known.tags);
  if (name === 'Idempotency-Key') return mostly(fc.constantFrom('one', 'two'), visible(300));
  if (place === 'path') return mostly(fc.integer({ min: 1, max: 6 }).map(String), oddSegment);
  if (schema['type'] === 'integer') {
    const [least, most] = [Number(schema['minimum']), Number(schema['maximum'])];
    return mostly(
      fc.integer({ min: least, max: most }).map(String),
      fc.constantFrom('0', '101', '-1', '1e1', '', '٣', '1.0', '99999999999999999999'),
    );
  }
  if (schema['type'] === 'string') return fc.string({ maxLength: 20 });
  throw new Error(`nothing is known of the schema of ${name}: ${JSON.stringify(schema)}`);
}

const oddSegment = fc.oneof(
  fc.constantFrom(
    ...[
      '0',
      '-1',
      '00',
      '1.0',
      '1e0',
      '+1',
      '%31',
      '%zz',
      '%',
      '%00',
      '..',
      '.',
      '',
      '1/',
      '1%2f2',
      '18446744073709551615',
    ],
    ...[
      '18446744073709551616',
      '9'.repeat(400),
      'null',
      '__proto__',
      'constructor',
      '1;2',
      '1#',
      '%F0%9F%98%80',
      '%C3',
      '1?',
    ],
  ),
  fc.string({ maxLength: 12 }).map(encode),
);

/** Lone surrogates cannot be encoded. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

const oddQuery = fc.oneof(
  fc.constantFrom(
    'limit=1&limit=2',
    'limit[]=1',
    '__proto__=1',
    'constructor[prototype][x]=1',
    '&&&=&',
    'after=',
    'limit',
    '%=%',
    'x='.repeat(300),
  ),
  fc
    .array(fc.tuple(visible(6), visible(6)), { maxLength: 4 })
    .map((pairs) => pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&')),
);

function oddHeader(known: Known): fc.Arbitrary<[string, string]> {
  const of = (name: string, values: fc.Arbitrary<string>): fc.Arbitrary<[string, string]> =>
    values.map((value) => [name, value]);
  return fc.oneof(
    of(
      'Accept-Encoding',
      fc.oneof(
        fc.constantFrom('br', 'gzip', 'gzip;q=0, br', '*;q=0', 'identity;q=0', 'br;q=2', ';;;', 'x'.repeat(200)),
        visible(20),
      ),
    ),
    of('Accept', fc.constantFrom('text/html', '*/*', 'application/xml;q=0.9', '')),
    of(
      'Origin',
      fc.constantFrom('http://localhost:5173', 'null', 'https://evil.example', 'http://localhost:5173.evil.example'),
    ),
    of('If-None-Match', oneOfKnown(known.tags)),
    of('If-Modified-Since', fc.constantFrom('Thu, 01 Jan 1970 00:00:00 GMT', 'yesterday')),
    of('Range', fc.constantFrom('bytes=0-1', 'bytes=-1', 'bytes=9-1', 'items=1')),
    of('Expect', fc.constantFrom('100-continue', '200-ok')),
    of('traceparent', fc.oneof(fc.constant(`00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`), visible(60))),
    of('X-Forwarded-For', fc.constantFrom('1.2.3.4', '::1', 'not an address', ',,,', '1.2.3.4, 5.6.7.8')),
    of('Forwarded', visible(40)),
    of('Authorization', fc.constantFrom('Bearer x.y.z', 'Bearer', 'Basic Og==')),
    of('x-internal-secret', fc.constantFrom(known.secret, 'wrong', '')),
    of('Cookie', visible(60)),
    of('Content-Encoding', fc.constantFrom('gzip', 'br', 'identity')),
    of('X-HTTP-Method-Override', fc.constantFrom('DELETE', 'PUT')),
    of('Access-Control-Request-Method', fc.constantFrom('PUT', 'BREW')),
  );
}

const oddType = fc.constantFrom(
  ...['text/plain', 'application/json; charset=latin1', 'application/json;', 'application/x-www-form-urlencoded', ''],
  ...[
    'multipart/form-data; boundary=x',
    'APPLICATION/JSON',
    'application/merge-patch+json',
    'application/json, text/plain',
  ],
);

function validBody(schema: Schema): fc.Arbitrary<Buffer | undefined> {
  return schemaValue(resolved(schema)).map((value) => Buffer.from(JSON.stringify(value)));
}

function resolved(schema: Schema): Schema {
  const name = typeof schema['$ref'] === 'string' ? schema['$ref'].split('/').at(-1) : undefined;
  const found = name === undefined ? undefined : document.components.schemas[name];
  // What a reference leads to is a schema again.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return found === undefined ? schema : (found as Schema);
}

const knownKeywords = new Set([
  'type',
  'properties',
  'required',
  'anyOf',
  'notBlank',
  'wellFormed',
  'maxLength',
  'maxBytes',
  'identifier',
  'description',
  'additionalProperties',
]);

/** Of the keywords that bodies have; another one is a reason to look here. */
function schemaValue(schema: Schema): fc.Arbitrary<unknown> {
  const unknown = Object.keys(schema).filter((keyword) => !knownKeywords.has(keyword));
  if (unknown.length > 0)
    throw new Error(`the fuzzer does not know the keyword ${unknown.join(', ')} of ${JSON.stringify(schema)}`);
  if (schema['identifier'] === true)
    return mostly<unknown>(
      fc.constantFrom(1, 2, '1', '2'),
      fc.constantFrom(3, 0, -1, 1.5, '01', 1e20, '18446744073709551616'),
    );
  if (schema['type'] === 'string') {
    const most = Number(schema['maxLength'] ?? 2_000);
    const text = fc.string({ unit: 'binary', maxLength: most });
    return mostly<unknown>(
      text,
      fc.constantFrom('', ' ', '\u0000', '\uD800', 'x'.repeat(most + 1), '\u202E', null, 7, [], {}, true),
    );
  }
  if (schema['type'] === 'object') {
    const properties = Object.entries(Object(schema['properties']));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const members = Object.fromEntries(properties.map(([name, each]) => [name, schemaValue(each as Schema)]));
    return fc
      .tuple(
        fc.record(members, { requiredKeys: [] }),
        fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue(), { maxKeys: 2 }),
      )
      .map(([own, more]) => ({ ...more, ...own }));
  }
  return fc.jsonValue();
}

const oddBody: fc.Arbitrary<Buffer | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc
    .constantFrom(
      ...[
        '',
        ' ',
        '{',
        '{}',
        '[]',
        'null',
        '"x"',
        '1',
        '{"title":1,"title":"two"}',
        '{"title":"\\ud800"}',
        '{"__proto__":{"title":"x"}}',
      ],
      ...[
        '{"constructor":{"prototype":{}}}',
        `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
        `{"title":"${'x'.repeat(300_000)}"}`,
        '{"title":"x"}garbage',
      ],
      ...[
        '\uFEFF{"title":"x"}',
        '{"title":"x","content":null,"user_id":{"$gt":0}}',
        '{"user_id":"1 OR 1=1"}',
        '{"title":"\'; DROP TABLE posts; --"}',
      ],
    )
    .map((text) => Buffer.from(text)),
);
