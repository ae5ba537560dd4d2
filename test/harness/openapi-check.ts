import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Writes } from '../../src/http/body-schemas.ts';
import { describeHttp } from '../../src/http/openapi/document.ts';
import { resources as ownResources } from '../../src/resources/registry.ts';
import type { Resource } from '../../src/resources/resource.ts';

/**
 * Every answer that a test gets is held against the OpenAPI document: its status, its media type, its body and its
 * headers. So the document cannot say anything else than what the service does, as far as the tests go.
 */

export type Answered = { readonly status: number; readonly headers: Headers; readonly text: string };

type Content = Readonly<Record<string, { readonly schema: object }>>;
type Response = { readonly headers?: Readonly<Record<string, object>>; readonly content?: Content };
type OperationObject = { readonly responses: Readonly<Record<string, Response>> };

export type HttpDocument = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly headers: Readonly<Record<string, object>>;
    readonly responses: { readonly Problem: Response };
  };
};

/** As a client reads it. */
export function httpDocument(resources: readonly Resource[] = ownResources, writes: Writes = 'open'): HttpDocument {
  return JSON.parse(JSON.stringify(describeHttp(resources, '0.0.0', writes)));
}

type Check = (method: string, path: string, answered: Answered) => void;
const checks = new Map<readonly Resource[], Check>();

/** Throws when an answer is none that the document of these resources tells of. */
export function checkAnswer(
  resources: readonly Resource[] | undefined,
  method: string,
  path: string,
  answered: Answered,
): void {
  const own = resources ?? ownResources;
  let check = checks.get(own);
  if (check === undefined) {
    check = makeCheck(httpDocument(own));
    checks.set(own, check);
  }
  check(method, path, answered);
}

/** The pages for people, and what Socket.IO answers by itself. */
const elsewhere = /^\/(?:docs|dashboard|socket\.io)(?:\/|$)/;

/** Not every answer has them. */
const optionalHeaders = new Set(['Link', 'Idempotent-Replayed']);

function makeCheck(document: HttpDocument): Check {
  const compile = compiler(document);
  const known = Object.keys(document.components.headers);
  return (method, path, answered) => {
    const [bare = ''] = path.split(/[?#]/);
    if (method === 'OPTIONS' || elsewhere.test(bare)) return;
    const where = `${method} ${path}: ${answered.status}`;
    const methods = findPath(document, bare.length > 1 ? bare.replace(/\/$/, '') : bare);
    if (methods === undefined) return expectStatus(where, answered, [400, 404, 503]);
    const operation = methods[method === 'HEAD' ? 'get' : method.toLowerCase()];
    if (operation === undefined) return expectStatus(where, answered, [400, 405]);
    const isOther = operation.responses[answered.status] === undefined;
    const response = operation.responses[answered.status] ?? document.components.responses.Problem;
    if (isOther && answered.status < 400) throw new Error(`${where} is not in the OpenAPI document`);
    checkHeaders(where, answered, Object.keys(response.headers ?? {}), known);
    if (method !== 'HEAD') checkBody(where, answered, response.content, compile);
  };
}

function expectStatus(where: string, { status }: Answered, allowed: readonly number[]): void {
  if (!allowed.includes(status)) throw new Error(`${where}, of which the OpenAPI document knows nothing`);
}

/** A path without parameters goes before one that has some. */
function findPath({ paths }: HttpDocument, path: string): HttpDocument['paths'][string] | undefined {
  if (paths[path] !== undefined) return paths[path];
  const found = Object.keys(paths).find((template) =>
    new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
  return found === undefined ? undefined : paths[found];
}

function checkHeaders(
  where: string,
  { headers, status }: Answered,
  documented: readonly string[],
  known: readonly string[],
): void {
  // What goes wrong on the way may have had some of its headers by then.
  if (status >= 400) return;
  for (const name of known) {
    const isThere = headers.has(name);
    const isDocumented = documented.includes(name);
    if (isThere && !isDocumented) throw new Error(`${where} has ${name}, of which the OpenAPI document knows nothing`);
    if (!isThere && isDocumented && !optionalHeaders.has(name)) {
      throw new Error(`${where} has no ${name}, as the OpenAPI document says`);
    }
  }
}

function checkBody(
  where: string,
  { headers, text }: Answered,
  content: Content | undefined,
  compile: (schema: object) => ValidateFunction,
): void {
  if (content === undefined) {
    if (text !== '') throw new Error(`${where} has a body, of which the OpenAPI document knows nothing`);
    return;
  }
  const [mediaType = ''] = (headers.get('content-type') ?? '').split(';');
  const documented = content[mediaType];
  if (documented === undefined) throw new Error(`${where} is ${mediaType}, not as the OpenAPI document says`);
  if (!mediaType.endsWith('json')) return;
  const validate = compile(documented.schema);
  if (!validate(JSON.parse(text))) {
    throw new Error(`${where} is not as the OpenAPI document says: ${JSON.stringify(validate.errors)} ${text}`);
  }
}

/** Keywords beyond JSON Schema are annotations, as they are to any reader of the document. */
function compiler({ components }: HttpDocument): (schema: object) => ValidateFunction {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const compiled = new Map<string, ValidateFunction>();
  return (schema) => {
    const key = JSON.stringify(schema);
    const validate = compiled.get(key) ?? ajv.compile({ ...schema, components });
    compiled.set(key, validate);
    return validate;
  };
}
