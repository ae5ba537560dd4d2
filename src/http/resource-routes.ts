import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Answer } from '../cache/answer.ts';
import { CatalogueError } from '../errors.ts';
import { greatestLimit, standardLimit } from '../resources/cursor.ts';
import { isIdentifier } from '../resources/identifier.ts';
import { isAbsent } from '../cache/negative.ts';
import { entityTag, readMeta } from '../resources/meta.ts';
import type { ResourceReader } from '../resources/reader.ts';
import type { Fields, Resource } from '../resources/resource.ts';
import type { ResourceWriter } from '../resources/writer.ts';
import { bodySchema, deleteSchema, givenColumns, type Writes } from './body-schemas.ts';
import { codingKnown, preconditionOf } from './conditional.ts';
import { cacheStatus, hookHeadersOf, type PageOf, sendRead } from './envelope.ts';
import { answerFor } from './known-answers.ts';
import { refuseOtherMethods } from './methods.ts';
import { answerProblem } from './problem.ts';
import type { Tokens } from './tokens.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The id of the user whom the token of a write names; `undefined` where writes are open. */
    user: string | undefined;
  }
}

/** The routes of one resource, from its definition alone. With `tokens`, writes are for those who have one. */
export function addResourceRoutes(
  app: FastifyInstance,
  resource: Resource,
  reader: ResourceReader,
  writer: ResourceWriter,
  tokens: Tokens | undefined,
): void {
  const { path } = resource;
  addReads(app, resource, reader);
  app.fastLane.serve(resource, reader);
  app.gate.serve(resource);
  addWrites(app, resource, writer, tokens);
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'POST', 'OPTIONS']);
  refuseOtherMethods(app, `${path}/:id`, ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);
}

function addWrites(app: FastifyInstance, resource: Resource, writer: ResourceWriter, tokens: Tokens | undefined): void {
  const { path } = resource;
  const itemPath = `${path}/:id`;
  const writes = tokens === undefined ? 'open' : 'token';
  // Before the body is read: who has no token is told nothing else.
  const guard = tokens === undefined ? {} : { onRequest: requireUser(tokens) };
  const createBody = bodySchema(resource, 'create', writes);
  app.post(path, { schema: { body: createBody }, ...guard }, async (request, reply) => {
    const fields = toFields(resource, 'create', writes, request.body);
    const created = await writer.create(fields, idempotencyKey(request), request.user);
    reply.code(201).header('location', `${path}/${created.id}`).header('etag', entityTag(created.json));
    if (created.replayed) reply.header('idempotent-replayed', 'true');
    return sendJson(reply, done(resource, 'created', `"data":${created.json}`));
  });
  const updateBody = bodySchema(resource, 'update', writes);
  app.put(itemPath, { schema: { body: updateBody }, ...guard }, async (request, reply) => {
    const id = idOf(resource, request);
    const fields = toFields(resource, 'update', writes, request.body);
    const json = await writer.update(id, fields, preconditionOf(request.headers['if-match']), request.user);
    reply.header('etag', entityTag(json));
    return sendJson(reply, done(resource, 'updated', `"data":${json}`));
  });
  const removal = { schema: { body: deleteSchema(resource, writes) }, preValidation: allowNoBody, ...guard };
  app.delete(itemPath, removal, async (request, reply) => {
    const id = idOf(resource, request);
    const claimed = writes === 'open' ? ownerOf(resource, request.body) : undefined;
    await writer.remove(id, claimed, preconditionOf(request.headers['if-match']), request.user);
    return sendJson(reply, done(resource, 'deleted', `"${resource.item}Id":${id}`));
  });
}

function requireUser(tokens: Tokens): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    request.user = await tokens.userOf(request.headers.authorization);
  };
}

export function addReads(app: FastifyInstance, resource: Resource, reader: ResourceReader): void {
  app.get(resource.path, { errorHandler: onReadError }, async (request, reply) => {
    const { limit, after } = pageOf(request);
    const isPage = limit !== undefined || after !== undefined;
    const answer = await answerFor(request.raw, () =>
      isPage ? reader.readPage(limit ?? standardLimit, after) : reader.readAll(),
    );
    const page = isPage ? { path: resource.path, limit: limit ?? standardLimit } : undefined;
    return sendAnswer(app, request, reply, answer, page);
  });
  app.get(`${resource.path}/:id`, { errorHandler: onReadError }, async (request, reply) => {
    const id = idOf(resource, request);
    const answer = await answerFor(request.raw, () => reader.readItem(id));
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
  app.learnedHeaders.learn(request.headers.origin, hookHeaders);
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
function toFields(resource: Resource, moment: 'create' | 'update', writes: Writes, body: unknown): Fields {
  const given = new Map(Object.entries(Object(body)));
  const names = givenColumns(resource, moment, writes).filter((name) => given.has(name));
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
