import { describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { Database } from '../../src/database/database.ts';
import { CatalogueError } from '../../src/errors.ts';
import { operationsOf } from '../../src/http/openapi/document.ts';
import { exampleRow } from '../../src/http/openapi/examples.ts';
import type { Exchange, Operation } from '../../src/http/openapi/operation.ts';
import { statusOf, toProblem } from '../../src/http/problem.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { resources } from '../../src/resources/registry.ts';
import { referencesIn } from '../harness/json-references.ts';
import { httpDocument } from '../harness/openapi-check.ts';
import type { Reply, Service } from '../harness/service.ts';
import { describeService, insertPost } from '../harness/stage.ts';

const secret = 'a secret';
const operations = operationsOf(resources);
const document = httpDocument();

describe('the document', () => {
  test('is OpenAPI 3.1', async () => {
    const { valid, errors } = await new Validator().validate(httpDocument());
    expect([valid, errors]).toEqual([true, undefined]);
  });

  test('would be refused if it were none', async () => {
    const { valid } = await new Validator().validate({ ...document, paths: { posts: {} } });
    expect(valid).toBe(false);
  });

  test('has no reference that leads nowhere', () => {
    const { count, dangling } = referencesIn(document);
    expect(count).toBeGreaterThan(20);
    expect(dangling).toEqual([]);
  });

  test('shows an example of every answer that can be had on purpose', () => {
    const withoutExample = operations.flatMap(({ id, answers, exchanges }) =>
      answers
        .filter(
          ({ status }) =>
            !exchanges.some(({ answer }) => !(answer instanceof CatalogueError) && answer.status === status),
        )
        .map(({ status }) => `${id} ${status}`),
    );
    // Texts, documents, and what only a fault brings about.
    expect(withoutExample).toEqual([
      'health 503',
      'stats 200',
      'live 200',
      'ready 200',
      'ready 503',
      'metrics 200',
      'openapi 200',
      'asyncapi 200',
    ]);
  });

  test('shows no example that is not tried below', () => {
    const shown = JSON.stringify(document).match(/"examples":\{/g)?.length ?? 0;
    expect(shown).toBeGreaterThan(20);
    const names = new Set<string>();
    JSON.stringify(document, (key, value: unknown) => {
      if (key === 'examples') for (const name of Object.keys(Object(value))) names.add(name);
      return value;
    });
    const tried = new Set(operations.flatMap(({ exchanges }) => exchanges.map(({ name }) => name)));
    expect([...names].filter((name) => !tried.has(name))).toEqual([]);
  });
});

describeService('the service', { environment: { REALTIME_API_SECRET: secret } }, (given) => {
  const tried = operations.flatMap((operation) => operation.exchanges.map((exchange) => ({ operation, exchange })));

  test.each(tried.map((each) => [`${each.operation.id}: ${each.exchange.name}`, each] as const))(
    'answers as the example says: %s',
    async (_, { operation, exchange }) => {
      if (operation.method !== 'post') await insertExample(given.database);
      const reply = await ask(given.service, operation, exchange);
      const { status, body } = expected(exchange);
      expect(reply.status).toBe(status);
      const chance = operation.method === 'post' ? setWhenCreated : setWhenChanged;
      expect(reply.text === '' ? undefined : settled(reply.json, body, chance)).toEqual(body);
    },
  );

  test('serves it, and allows on each path what it says', async () => {
    const served = await given.service.get('/openapi.json');
    expect(served.json.paths).toEqual(document.paths);
    for (const [path, methods] of Object.entries(document.paths)) {
      const { headers, status } = await given.service.request('OPTIONS', path.replace('{id}', '1'));
      const documented = Object.keys(methods).map((method) => method.toUpperCase());
      const withHead = documented.includes('GET') ? [...documented, 'HEAD'] : documented;
      expect([status, path, headers.get('allow')?.split(', ').toSorted()]).toEqual([
        204,
        path,
        [...withHead, 'OPTIONS'].toSorted(),
      ]);
    }
  });
});

function ask(service: Service, operation: Operation, exchange: Exchange): Promise<Reply> {
  const given = exchange.parameters ?? {};
  const headers: Record<string, string> =
    operation.needsSecret === true && exchange.isForbidden !== true ? { 'x-internal-secret': secret } : {};
  const query = new URLSearchParams();
  let { path } = operation;
  for (const { name, in: place } of operation.parameters) {
    const value = given[name];
    if (value === undefined) continue;
    if (place === 'path') path = path.replace(`{${name}}`, String(value));
    if (place === 'query') query.set(name, String(value));
    if (place === 'header') headers[name] = String(value);
  }
  const url = query.size === 0 ? path : `${path}?${query.toString()}`;
  return service.request(operation.method.toUpperCase(), url, exchange.body, headers);
}

function expected({ answer }: Exchange): { status: number; body?: unknown } {
  if (!(answer instanceof CatalogueError)) return answer;
  return { status: statusOf(answer.code), body: JSON.parse(JSON.stringify(toProblem(answer, 'req-1'))) };
}

const setWhenChanged = /^(?:timestamp|requestId|updated_at)$/;
const setWhenCreated = /^(?:timestamp|requestId|updated_at|created_at)$/;

/** What chance and the clock decide is put as the example has it, if it is there and of the same kind. */
function settled(value: unknown, example: unknown, chance: RegExp, name = ''): unknown {
  if (chance.test(name) && typeof value === typeof example) return example;
  if (Array.isArray(value)) return value.map((each, index) => settled(each, Object(example)[index], chance));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([member, each]) => [member, settled(each, Object(example)[member], chance, member)]),
  );
}

/** The row that all examples are about. The table's times have no zone, and are in UTC. */
async function insertExample(database: Database): Promise<void> {
  const { id, title, content } = exampleRow(posts);
  const time = '2025-01-01 00:00:00';
  await insertPost(database, {
    id: Number(id),
    title: String(title),
    content: String(content),
    created_at: time,
    updated_at: time,
  });
}
