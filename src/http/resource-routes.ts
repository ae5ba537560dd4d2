import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Answer } from '../cache/read-through.ts';
import { CatalogueError } from '../errors.ts';
import { greatestLimit, standardLimit } from '../resources/cursor.ts';
import { isIdentifier } from '../resources/identifier.ts';
import { isAbsent } from '../cache/negative.ts';
import { entityTag, readMeta } from '../resources/meta.ts';
import type { ResourceReader } from '../resources/reader.ts';
import { type Fields, type Resource, writableColumns } from '../resources/resource.ts';
import type { ResourceWriter } from '../resources/writer.ts';
import { bodySchema, deleteSchema } from './body-schemas.ts';
import { codingKnown, preconditionOf } from './conditional.ts';
import { cacheStatus, hookHeadersOf, type PageOf, sendRead } from './envelope.ts';
import { refuseOtherMethods } from './methods.ts';
import { answerProblem } from './problem.ts';

/** The routes of one resource, from its definition alone. */
export function addResourceRoutes(
  app: FastifyInstance,
  resource: Resource,
  reader: ResourceReader,
  writer: ResourceWriter,
): void {
  const { path } = resource;
  const itemPath = `${path}/:id`;
  addReads(app, resource, reader);
  app.fastLane.serve(resource, reader);
  app.post(path, { schema: { body: bodySchema(resource, 'create') } }, async (request, reply) => {
    const fields = toFields(resource, 'create', request.body);
    const created = await writer.create(fields, idempotencyKey(request));
    reply.code(201).header('location', `${path}/${created.id}`).header('etag', entityTag(created.json));
    if (created.replayed) reply.header('idempotent-replayed', 'true');
    return sendJson(reply, done(resource, 'created', `"data":${created.json}`));
  });
  app.put(itemPath, { schema: { body: bodySchema(resource, 'update') } }, async (request, reply) => {
    const id = idOf(resource, request);
    const fields = toFields(resource, 'update', request.body);
    const json = await writer.update(id, fields, preconditionOf(request.headers['if-match']));
    reply.header('etag', entityTag(json));
    return sendJson(reply, done(resource, 'updated', `"data":${json}`));
  });
  app.delete(
    itemPath,
    { schema: { body: deleteSchema(resource) }, preValidation: allowNoBody },
    async (request, reply) => {
      const id = idOf(resource, request);
      await writer.remove(id, ownerOf(resource, request.body), preconditionOf(request.headers['if-match']));
      return sendJson(reply, done(resource, 'deleted', `"${resource.item}Id":${id}`));
    },
  );
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'POST', 'OPTIONS']);
  refuseOtherMethods(app, itemPath, ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);
}

export function addReads(app: FastifyInstance, resource: Resource, reader: ResourceReader): void {
  app.get(resource.path, { errorHandler: onReadError }, async (request, reply) => {
    const { limit, after } = pageOf(request);
    const isPage = limit !== undefined || after !== undefined;
    const answer = await (isPage ? reader.readPage(limit ?? standardLimit, after) : reader.readAll());
    const page = isPage ? { path: resource.path, limit: limit ?? standardLimit } : undefined;
    return sendAnswer(app, request, reply, answer, page);
  });
  app.get(`${resource.path}/:id`, { errorHandler: onReadError }, async (request, reply) => {
    const answer = await reader.readItem(idOf(resource, request));
    if (!isAbsent(answer)) return sendAnswer(app, request, reply, answer, undefined);
    request.cacheResult = answer.outcome.kind;
    reply.header('cache-status', cacheStatus(answer));
    throw new CatalogueError('NOT_FOUND', { params: { item: resource.label } });
  });
}

/** A read that fails says as well what the cache did for it: nothing, and why. */
function onReadError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  if (!reply.hasHeader('cache-status')) {
    const detail = error instanceof CatalogueError ? error.code : 'INTERNAL';
    reply.header('cache-status', `EnergeX; fwd=bypass; detail=${detail}`);
  }
  void answerProblem(error, request, reply);
}

function sendAnswer(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  answer: Answer,
  page: PageOf | undefined,
): void {
  request.cacheResult = answer.outcome.kind;
  const hookHeaders = hookHeadersOf(reply);
  app.fastLane.learn(request.headers.origin, hookHeaders);
  const acceptEncoding = acceptEncodingOf(request);
  const acceptance = app.compression.acceptance(acceptEncoding);
  const known = codingKnown(request.headers['if-none-match'], readMeta(answer.meta).etag, acceptance);
  if (known !== undefined) {
    sendRead(reply, answer, hookHeaders, { page, sent: { status: 304, coding: known } });
    return;
  }
  const held = answer.outcome.kind === 'hit' ? answer.held : undefined;
  const coded = held === undefined ? undefined : app.compression.find(held, acceptEncoding);
  sendRead(reply, answer, hookHeaders, { page, sent: { status: 200, coded } });
}

/** Node joins those that are given more than once. */
function acceptEncodingOf({ headers }: FastifyRequest): string | undefined {
  return headers['accept-encoding']?.toString();
}

/** Other parameters are ignored, and make no keys. */
function pageOf(request: FastifyRequest): { limit: number | undefined; after: string | undefined } {
  const { limit, after } = parameters(request.query, ['limit', 'after']);
  if (limit !== undefined && (!/^[1-9][0-9]{0,2}$/.test(limit) || Number(limit) > greatestLimit)) {
    throw new CatalogueError('INVALID_PARAMETER', {
      params: { reason: `\`limit\` must be a whole number from 1 to ${greatestLimit}` },
    });
  }
  return { limit: limit === undefined ? undefined : Number(limit), after };
}

/** The named members that are there, each given once. */
function parameters(query: unknown, names: readonly string[]): Record<string, string | undefined> {
  const given = new Map(Object.entries(Object(query)));
  return Object.fromEntries(
    names.map((name) => {
      const value = given.get(name);
      if (value === undefined || typeof value === 'string') return [name, value];
      throw new CatalogueError('INVALID_PARAMETER', { params: { reason: `\`${name}\` is given more than once` } });
    }),
  );
}

function idOf(resource: Resource, request: FastifyRequest): string {
  const id = Object(request.params).id;
  if (typeof id === 'string' && isIdentifier(id)) return id;
  throw new CatalogueError('INVALID_ID', { params: { item: resource.item } });
}

function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key)) throw new CatalogueError('IDEMPOTENCY_KEY_INVALID');
  return key;
}

/** The writable columns of a checked body; whatever else it has is ignored. */
function toFields(resource: Resource, moment: 'create' | 'update', body: unknown): Fields {
  const given = new Map(Object.entries(Object(body)));
  const names = writableColumns(resource.columns, moment).filter((name) => given.has(name));
  return Object.fromEntries(names.map((name) => [name, String(given.get(name))]));
}

function ownerOf({ owner }: Resource, body: unknown): string | undefined {
  const given: unknown = owner === undefined ? undefined : Object(body)[owner];
  // The schema of the route has let through ids only.
  return typeof given === 'string' || typeof given === 'number' ? String(given) : undefined;
}

/** A DELETE without a body says as much as one with an empty object. */
async function allowNoBody(request: FastifyRequest): Promise<void> {
  request.body ??= {};
}

/** The ids and the data are JSON already. */
function done({ label }: Resource, what: string, members: string): string {
  return `{"message":"${label} ${what} successfully",${members},"source":"database"}`;
}

function sendJson(reply: FastifyReply, json: string): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(json);
}
