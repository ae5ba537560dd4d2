import { Type } from 'typebox';
import { CatalogueError } from '../../errors.ts';
import { greatestLimit, standardLimit } from '../../resources/cursor.ts';
import { entityTag } from '../../resources/meta.ts';
import { type Resource, writableColumns } from '../../resources/resource.ts';
import { rowSchema } from '../../resources/row-schema.ts';
import { bodySchema, deleteSchema, givenColumns, type Writes } from '../body-schemas.ts';
import { exampleRow } from './examples.ts';
import type { Answer, Operation, Parameter, Schemas } from './operation.ts';

/** The operations of one resource, from its definition alone, as `resource-routes.ts` answers them. */
export function resourceOperations(resource: Resource, writes: Writes): Operation[] {
  return [list(resource), item(resource), create(resource, writes), update(resource), remove(resource, writes)];
}

/** The schemas that they name. */
export function resourceSchemas(resource: Resource, writes: Writes): Schemas {
  const { label, item: singular } = resource;
  const row = { $ref: `#/components/schemas/${label}` };
  const written = (what: string): object => ({
    message: { const: `${label} ${what} successfully` },
    source: { const: 'database' },
  });
  return {
    [label]: rowSchema(resource),
    [`${label}List`]: closed({ data: { type: 'array', items: row }, ...origin }),
    [`${label}Item`]: closed({ data: row, ...origin }),
    [`${label}Create`]: bodySchema(resource, 'create', writes),
    [`${label}Update`]: bodySchema(resource, 'update', writes),
    [`${label}Delete`]: deleteSchema(resource, writes),
    [`${label}Created`]: closed({ ...written('created'), data: row }),
    [`${label}Updated`]: closed({ ...written('updated'), data: row }),
    [`${label}Deleted`]: closed({ ...written('deleted'), [`${singular}Id`]: Type.Integer({ minimum: 1 }) }),
  };
}

/** What stands beside `data` in every read. */
const origin = {
  source: { enum: ['cache', 'database'], description: 'Where the bytes came from.' },
  timestamp: { type: 'string', format: 'date-time', description: 'When the answer was made.' },
};

function closed(properties: object): object {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

const readHeaders: Answer['headers'] = ['ETag', 'Cache-Status', 'Cache-Control'];
const unchanged: Answer = { status: 304, description: 'The entity tag still holds.', headers: readHeaders };
const anyTag = '"0000000000000000000000"';

function idParameter({ item: singular }: Resource): Parameter {
  const description = `The id of the ${singular}: 1 to 18446744073709551615.`;
  return { name: 'id', in: 'path', description, schema: { type: 'string', pattern: '^[1-9][0-9]{0,19}$' } };
}

const ifNoneMatch: Parameter = {
  name: 'If-None-Match',
  in: 'header',
  description: 'Entity tags that the client has: answered 304 if one of them holds, without a query.',
  schema: { type: 'string' },
};

const ifMatch: Parameter = {
  name: 'If-Match',
  in: 'header',
  description: 'The row is changed only if one of these entity tags is its own, checked inside the transaction.',
  schema: { type: 'string' },
};

const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'A retry with the same key and body is answered as the first request was, for 24 hours.',
  schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' },
};

function list(resource: Resource): Operation {
  const { name, path, label } = resource;
  const row = exampleRow(resource);
  const answer = { status: 200, body: { data: [row], source: 'database', timestamp: exampleTime } };
  const reason = `\`limit\` must be a whole number from 1 to ${greatestLimit}`;
  return {
    id: `list${capital(name)}`,
    method: 'get',
    path,
    tag: name,
    summary: `All ${name}, or a page of them`,
    description: `The newest first: by \`created_at\`, then by \`id\`. Without parameters all of them.`,
    parameters: [
      {
        name: 'limit',
        in: 'query',
        description: `Rows of a page; ${standardLimit} if only \`after\` is given.`,
        schema: { type: 'integer', minimum: 1, maximum: greatestLimit },
      },
      {
        name: 'after',
        in: 'query',
        description: 'Where the page begins: the cursor of the `Link` header of the page before.',
        schema: { type: 'string' },
      },
      ifNoneMatch,
    ],
    answers: [
      {
        status: 200,
        description: `The ${name}.`,
        headers: [...readHeaders, 'Link'],
        schema: `${label}List`,
      },
      { ...unchanged, headers: [...readHeaders, 'Link'] },
    ],
    problems: ['INVALID_PARAMETER', ...readProblems],
    exchanges: [
      { name: 'all', answer },
      { name: 'page', parameters: { limit: 20 }, answer },
      {
        name: 'unchanged',
        parameters: { limit: 20, 'If-None-Match': entityTag(JSON.stringify([row])) },
        answer: { status: 304 },
      },
      {
        name: 'tooLarge',
        parameters: { limit: greatestLimit + 1 },
        answer: new CatalogueError('INVALID_PARAMETER', { params: { reason } }),
      },
    ],
  };
}

function item(resource: Resource): Operation {
  const { path, label, item: singular, name } = resource;
  const row = exampleRow(resource);
  return {
    id: `get${label}`,
    method: 'get',
    path: `${path}/{id}`,
    tag: name,
    summary: `One ${singular}`,
    parameters: [idParameter(resource), ifNoneMatch],
    answers: [
      { status: 200, description: `The ${singular}.`, headers: readHeaders, schema: `${label}Item` },
      unchanged,
    ],
    problems: ['INVALID_ID', 'NOT_FOUND', ...readProblems],
    exchanges: [
      {
        name: 'found',
        parameters: { id: 1 },
        answer: { status: 200, body: { data: row, source: 'database', timestamp: exampleTime } },
      },
      {
        name: 'unchanged',
        parameters: { id: 1, 'If-None-Match': entityTag(JSON.stringify(row)) },
        answer: { status: 304 },
      },
      { name: 'invalid', parameters: { id: 'first' }, answer: invalidId(resource) },
      { name: 'missing', parameters: { id: 404 }, answer: notFound(resource) },
    ],
  };
}

function create(resource: Resource, writes: Writes): Operation {
  const { path, label, item: singular, name, columns } = resource;
  const row = exampleRow(resource);
  const given = pick(row, givenColumns(resource, 'create', writes));
  const fields = Object.keys(given).map((field) => ({ field, message: `${field} is required` }));
  const reason = fields.map(({ message }) => message).join('; ');
  const reference = Object.keys(given).find((column) => columns[column]?.isReference);
  return {
    id: `create${label}`,
    method: 'post',
    path,
    tag: name,
    summary: `Adds a ${singular}`,
    description: `Once it is answered every reader on every instance sees the ${singular}, and \`${resource.events.created}\` goes out.`,
    parameters: [idempotencyKey],
    body: { schema: `${label}Create`, required: true },
    answers: [
      {
        status: 201,
        description: `The new ${singular}.`,
        headers: ['Location', 'ETag', 'Idempotent-Replayed'],
        schema: `${label}Created`,
      },
    ],
    problems: ['IDEMPOTENCY_KEY_INVALID', 'UNKNOWN_REFERENCE', 'IDEMPOTENCY_KEY_REUSED', ...writeProblems],
    exchanges: [
      {
        name: 'created',
        body: given,
        answer: { status: 201, body: { message: `${label} created successfully`, data: row, source: 'database' } },
      },
      {
        name: 'incomplete',
        body: {},
        answer: new CatalogueError('VALIDATION_FAILED', { params: { reason }, fields }),
      },
      ...(reference === undefined
        ? []
        : [
            {
              name: 'unknownReference',
              body: { ...given, [reference]: 404 },
              answer: new CatalogueError('UNKNOWN_REFERENCE', {
                params: { field: reference },
                fields: [{ field: reference, message: `${reference} refers to no row` }],
              }),
            },
          ]),
    ],
  };
}

function update(resource: Resource): Operation {
  const { path, label, item: singular, name, columns } = resource;
  const row = exampleRow(resource);
  const body = pick(row, writableColumns(columns, 'update').slice(0, 1));
  const nothing = 'at least one field to change is required';
  const fields = [{ field: '', message: nothing }];
  return {
    id: `update${label}`,
    method: 'put',
    path: `${path}/{id}`,
    tag: name,
    summary: `Changes a ${singular}`,
    description: 'A field that is left out keeps its value.',
    parameters: [idParameter(resource), ifMatch],
    body: { schema: `${label}Update`, required: true },
    answers: [
      { status: 200, description: `The ${singular} as it is now.`, headers: ['ETag'], schema: `${label}Updated` },
    ],
    problems: ['INVALID_ID', 'NOT_FOUND', 'PRECONDITION_FAILED', ...writeProblems],
    exchanges: [
      {
        name: 'updated',
        parameters: { id: 1 },
        body,
        answer: { status: 200, body: { message: `${label} updated successfully`, data: row, source: 'database' } },
      },
      {
        name: 'empty',
        parameters: { id: 1 },
        body: {},
        answer: new CatalogueError('VALIDATION_FAILED', { params: { reason: nothing }, fields }),
      },
      { name: 'missing', parameters: { id: 404 }, body, answer: notFound(resource) },
      {
        name: 'changedMeanwhile',
        parameters: { id: 1, 'If-Match': anyTag },
        body,
        answer: preconditionFailed(resource),
      },
    ],
  };
}

function remove(resource: Resource, writes: Writes): Operation {
  const { path, label, item: singular, name, owner } = resource;
  const parameters = { id: 1 };
  const claimed = writes === 'open' ? owner : undefined;
  const own = claimed === undefined ? {} : pick(exampleRow(resource), [claimed]);
  return {
    id: `delete${label}`,
    method: 'delete',
    path: `${path}/{id}`,
    tag: name,
    summary: `Removes a ${singular}`,
    parameters: [idParameter(resource), ifMatch],
    body: { schema: `${label}Delete`, required: false },
    answers: [{ status: 200, description: 'It is gone.', headers: [], schema: `${label}Deleted` }],
    problems: ['INVALID_ID', 'NOT_OWNER', 'NOT_FOUND', 'PRECONDITION_FAILED', ...writeProblems],
    exchanges: [
      {
        name: 'deleted',
        parameters,
        body: own,
        answer: {
          status: 200,
          body: { message: `${label} deleted successfully`, [`${singular}Id`]: 1, source: 'database' },
        },
      },
      ...(claimed === undefined
        ? []
        : [
            {
              name: 'notTheOwner',
              parameters,
              body: { [claimed]: 404 },
              answer: new CatalogueError('NOT_OWNER', { params: { item: singular, action: 'delete' } }),
            },
          ]),
      { name: 'missing', parameters: { id: 404 }, body: {}, answer: notFound(resource) },
      {
        name: 'changedMeanwhile',
        parameters: { id: 1, 'If-Match': anyTag },
        body: {},
        answer: preconditionFailed(resource),
      },
    ],
  };
}

const exampleTime = '2025-01-02T03:04:05.678Z';

const readProblems: Operation['problems'] = ['RATE_LIMITED', 'DATABASE_UNAVAILABLE', 'DATABASE_BUSY', 'OUTGOING_FULL'];
const writeProblems: Operation['problems'] = [
  'RATE_LIMITED',
  'VALIDATION_FAILED',
  'INVALID_JSON',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'DATABASE_UNAVAILABLE',
  'DATABASE_BUSY',
  'COMMIT_UNKNOWN',
  'CACHE_UNREACHABLE',
];

function notFound({ label }: Resource): CatalogueError {
  return new CatalogueError('NOT_FOUND', { params: { item: label } });
}

function invalidId({ item: singular }: Resource): CatalogueError {
  return new CatalogueError('INVALID_ID', { params: { item: singular } });
}

function preconditionFailed({ item: singular }: Resource): CatalogueError {
  return new CatalogueError('PRECONDITION_FAILED', { params: { item: singular } });
}

function pick(row: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, row[name]]));
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
