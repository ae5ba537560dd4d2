import { catalogue, CatalogueError, type ErrorCode } from '../../errors.ts';
import type { Resource } from '../../resources/resource.ts';
import type { Writes } from '../body-schemas.ts';
import { problemType, statusOf, toProblem } from '../problem.ts';
import { type Answer, answerHeaders, type Exchange, type Operation, type Parameter } from './operation.ts';
import { resourceOperations, resourceSchemas } from './resource-operations.ts';
import { serviceOperations, serviceSchemas } from './service-operations.ts';

/** All that can be asked over HTTP. */
export function operationsOf(resources: readonly Resource[], writes: Writes = 'open'): Operation[] {
  const own = resources.flatMap((resource) => resourceOperations(resource, writes));
  return [...(writes === 'open' ? own : own.map(guarded)), ...serviceOperations];
}

/** As it is where tokens say who asks. */
function guarded(operation: Operation): Operation {
  if (operation.method === 'get') return operation;
  const { problems } = operation;
  const own = problems.includes('NOT_OWNER') || operation.method === 'post' ? [] : (['NOT_OWNER'] as const);
  const missing = { name: 'withoutToken', isForbidden: true, answer: new CatalogueError('TOKEN_MISSING') };
  return {
    ...operation,
    needsToken: true,
    problems: ['TOKEN_MISSING', 'TOKEN_INVALID', 'USER_UNKNOWN', ...own, 'TOKEN_KEYS_UNAVAILABLE', ...problems],
    exchanges: [...operation.exchanges, { ...operation.exchanges[0], ...missing }],
  };
}

/**
 * The HTTP interface as an OpenAPI document: https://spec.openapis.org/oas/v3.1.1.html
 *
 * The schemas of bodies are those that check them. Their keywords beyond JSON Schema are annotations to others.
 */
export function describeHttp(resources: readonly Resource[], version: string, writes: Writes = 'open'): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operationsOf(resources, writes)) {
    const path = (paths[operation.path] ??= {});
    path[operation.method] = operationObject(operation);
  }
  return {
    openapi: '3.1.1',
    info: { title: 'EnergeX Cache Service', version, description: introduction },
    servers: [{ url: '/', description: 'Where this document came from.' }],
    tags: [
      ...resources.map(({ name, table }) => ({ name, description: `The table \`${table}\`, read through the cache.` })),
      { name: 'service', description: 'The service itself.' },
    ],
    paths,
    components: {
      schemas: {
        ...Object.assign({}, ...resources.map((resource) => resourceSchemas(resource, writes))),
        ...serviceSchemas,
        Problem: problemSchema,
      },
      headers: byName(Object.keys(answerHeaders), (name) => headerObject(name)),
      responses: { Problem: { description: 'Something else went wrong.', content: problemContent([]) } },
      securitySchemes: {
        internalSecret: {
          type: 'apiKey',
          in: 'header',
          name: 'x-internal-secret',
          description: '`REALTIME_API_SECRET`',
        },
        ...(writes === 'open' ? {} : { userToken }),
      },
    },
  };
}

const introduction = [
  'A read-through cache in front of MySQL. Reads are linearizable: who reads after a write was answered sees it, whichever',
  'instance is asked.',
  '',
  'Every `GET` answers `HEAD` as well. A wrong method is answered 405 with `Allow`. Every problem is',
  '`application/problem+json` (RFC 9457) with a `message` beside it. Live events are in `/asyncapi.json`.',
  '',
  'Where requests are limited, `RateLimit-Policy` and `RateLimit` tell what one address may ask per minute and what is left,',
  'and one request more is answered 429 with `Retry-After`.',
  '',
  'Keywords of schemas beyond JSON Schema: `maxBytes` (bytes in UTF-8), `notBlank` (not only white space), `wellFormed`',
  '(no half of a surrogate pair), `identifier` (the id of a row: a positive integer, beyond 2^53 as a string of digits).',
].join('\n');

const userToken = {
  type: 'http',
  scheme: 'bearer',
  bearerFormat: 'JWT',
  description: 'The token that the application gives a user who logs in; `sub` is the id of the user.',
};

/** RFC 9457, and what this service adds to it. */
const problemSchema = {
  type: 'object',
  properties: {
    type: { type: 'string', pattern: '^urn:energex:error:' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { enum: Object.keys(catalogue) },
    message: { type: 'string', description: 'A sentence that can be shown.' },
    detail: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        properties: { field: { type: 'string' }, message: { type: 'string' } },
        required: ['field', 'message'],
        additionalProperties: false,
      },
    },
    requestId: { type: 'string', description: 'The log names the request by it.' },
  },
  required: ['type', 'title', 'status', 'code', 'message', 'detail'],
  additionalProperties: false,
};

function operationObject(operation: Operation): object {
  const { id, tag, summary, description, parameters, body, exchanges, needsSecret, needsToken } = operation;
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(needsSecret === true ? { security: [{ internalSecret: [] }] } : {}),
    ...(needsToken === true ? { security: [{ userToken: [] }] } : {}),
    ...(parameters.length === 0
      ? {}
      : { parameters: parameters.map((parameter) => parameterObject(parameter, exchanges)) }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: body.required, content: contentOf(body.schema, bodyExamples(exchanges)) } }),
    responses: {
      ...Object.fromEntries(operation.answers.map((answer) => [answer.status, answerObject(answer, exchanges)])),
      ...problemObjects(operation),
      default: { $ref: '#/components/responses/Problem' },
    },
  };
}

function parameterObject(parameter: Parameter, exchanges: readonly Exchange[]): object {
  const { name, description, schema } = parameter;
  const shown = exchanges.filter(({ parameters = {} }) => name in parameters);
  const examples = shown.map((each) => [each.name, { value: each.parameters?.[name] }] as const);
  return {
    name,
    in: parameter.in,
    required: parameter.in === 'path',
    description,
    schema,
    ...examplesObject(examples),
  };
}

function bodyExamples(exchanges: readonly Exchange[]): ExampleEntries {
  return exchanges.filter(({ body }) => body !== undefined).map(({ name, body }) => [name, { value: body }] as const);
}

function answerObject(
  { status, description, headers, schema, mediaType }: Answer,
  exchanges: readonly Exchange[],
): object {
  const shown = exchanges.flatMap(({ name, answer }) =>
    answer instanceof CatalogueError || answer.status !== status || answer.body === undefined
      ? []
      : [[name, { value: answer.body }] as const],
  );
  return {
    description,
    ...(headers.length === 0 ? {} : { headers: byName(headers, (name) => ({ $ref: `#/components/headers/${name}` })) }),
    ...(schema === undefined ? {} : { content: contentOf(schema, shown, mediaType) }),
  };
}

/** Problems by status: what causes each, and the examples among them. */
function problemObjects({ problems, exchanges, answers }: Operation): Record<string, object> {
  const codes: readonly ErrorCode[] = [...problems, 'INTERNAL'];
  const statuses = new Set(codes.map(statusOf).filter((status) => answers.every((answer) => answer.status !== status)));
  return Object.fromEntries(
    [...statuses].map((status) => {
      const own = codes.filter((code) => statusOf(code) === status);
      const shown = exchanges.flatMap(({ name, answer }) =>
        answer instanceof CatalogueError && statusOf(answer.code) === status
          ? [[name, { value: toProblem(answer, 'req-1') }] as const]
          : [],
      );
      const description = own.map((code) => `\`${code}\`: ${catalogue[code].cause}`).join('\n\n');
      return [String(status), { description, content: problemContent(shown) }];
    }),
  );
}

type ExampleEntries = readonly (readonly [string, { readonly value: unknown }])[];

function examplesObject(entries: ExampleEntries): object {
  return entries.length === 0 ? {} : { examples: Object.fromEntries(entries) };
}

function problemContent(examples: ExampleEntries): object {
  const [mediaType = ''] = problemType.split(';');
  return { [mediaType]: { schema: { $ref: '#/components/schemas/Problem' }, ...examplesObject(examples) } };
}

function contentOf(schema: string, examples: ExampleEntries, mediaType = 'application/json'): object {
  return { [mediaType]: { schema: { $ref: `#/components/schemas/${schema}` }, ...examplesObject(examples) } };
}

function byName(names: readonly string[], make: (name: string) => object): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, make(name)]));
}

function headerObject(name: string): object {
  const descriptions: Readonly<Record<string, string>> = answerHeaders;
  return { description: descriptions[name], schema: { type: 'string' } };
}
