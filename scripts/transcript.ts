import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createSchema } from '../test/harness/database-schema.ts';
import { type DatabaseServer, startDatabaseServer } from '../test/harness/database-server.ts';
import { type RedisServer, startRedis } from '../test/harness/redis-server.ts';
import {
  type ProgramProcess,
  runVerb,
  type ServiceProcess,
  startServiceProcess,
} from '../test/harness/service-process.ts';

/**
 * `npm run transcript`: does the main job once, on real servers and real input, and writes down in `docs/transcript.md`
 * what was asked and what came back.
 */

const target = join(import.meta.dirname, '..', 'docs', 'transcript.md');
const shownHeaders = ['location', 'link', 'etag', 'cache-status', 'content-type', 'content-length'];
const longestText = 48;

type Exchange = {
  readonly what: string;
  readonly status: number;
  readonly source: string;
  readonly bytes: number;
  readonly ms: number;
};

/** The document as it grows, and the requests it tells of. */
class Transcript {
  readonly exchanges: Exchange[] = [];
  readonly #parts: string[] = [];
  readonly #service: ServiceProcess;
  readonly #client: Redis;

  constructor(service: ServiceProcess, client: Redis) {
    this.#service = service;
    this.#client = client;
  }

  get text(): string {
    return this.#parts.join('\n\n');
  }

  say(...paragraphs: string[]): void {
    this.#parts.push(...paragraphs);
  }

  /** Sends a request; shows it as the curl command that does the same. Resolves with the entity tag of the answer. */
  async ask(
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<string> {
    const { body, headers = {} } = options;
    const began = performance.now();
    const reply = await this.#service.request(method, path, body, headers);
    const ms = performance.now() - began;
    const json: unknown = reply.text === '' ? undefined : reply.json;
    const source = isRecord(json) && typeof json['source'] === 'string' ? json['source'] : '';
    this.exchanges.push({
      what: `${method} ${path}`,
      status: reply.status,
      source,
      bytes: Buffer.byteLength(reply.text),
      ms,
    });
    const head = shownHeaders.flatMap((name) => {
      const value = reply.headers.get(name);
      return value === null ? [] : [`${name}: ${value}`];
    });
    const lines = [`HTTP/1.1 ${reply.status}`, ...head, ...(json === undefined ? [] : ['', shorten(json)])];
    this.#parts.push(
      showConsole(curl(method, path, body, headers), ...lines),
      `${source === '' ? '' : `Source \`${source}\`, `}${formatMs(ms)}.`,
    );
    return reply.headers.get('etag') ?? '';
  }

  /** Every key in Redis, with its type, time to live and size. */
  async listKeys(): Promise<void> {
    const keys = (await this.#client.keys('*')).toSorted();
    const rows = await Promise.all(
      keys.map(async (key) => {
        const [type, ttlMs] = [await this.#client.type(key), await this.#client.pttl(key)];
        const isString = type === 'string';
        const size = isString ? `${await this.#client.strlen(key)} bytes` : `${await this.#client.hlen(key)} fields`;
        return [key, type, ttlMs < 0 ? 'none' : `${Math.round(ttlMs / 1000)} s`, size];
      }),
    );
    const [command, head] = [
      'redis-cli --scan   # with TYPE, PTTL and STRLEN or HLEN of each',
      ['key', 'type', 'TTL', 'size'],
    ];
    this.#parts.push(showConsole(command, ...(rows.length === 0 ? ['(no keys)'] : alignColumns([head, ...rows]))));
  }
}

/** Columns as wide as their longest cell. */
function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

async function main(): Promise<void> {
  const [database, redis] = await Promise.all([startDatabase(), startRedis({ ownProcess: true })]);
  const schema = await createSchema(database, 'transcript');
  const environment = {
    REDIS_HOST: redis.host,
    REDIS_PORT: String(redis.port),
    DB_HOST: schema.host,
    DB_PORT: String(schema.port),
    DB_USERNAME: schema.username,
    DB_PASSWORD: schema.password,
    DB_DATABASE: schema.name,
  };
  const client = new Redis(redis.url);
  try {
    const began = performance.now();
    const seeded = await runVerb(['seed', '--posts', '10000', '--users', '500'], { environment });
    const seedMs = performance.now() - began;
    if (seeded.code !== 0) throw new Error(seeded.errors);
    const service = await startServiceProcess({ environment });
    try {
      await service.line(/Cache: Redis at \S+ is in use/);
      const transcript = new Transcript(service, client);
      await doMainJob(transcript);
      const beginning = introduce(database, redis, begin(seeded.lines, seedMs, service));
      await writeFile(target, `${beginning}\n\n${transcript.text}\n\n${tabulate(transcript.exchanges)}\n`);
      await end(service);
    } finally {
      await service.stop();
    }
  } finally {
    client.disconnect();
    await Promise.all([database.stop(), redis.stop()]);
  }
  console.log('docs/transcript.md is written.');
}

/** MySQL where it can be had, else MariaDB; the document says which. */
async function startDatabase(): Promise<DatabaseServer> {
  try {
    return await startDatabaseServer('mysql', { ownProcess: true });
  } catch (error) {
    console.error(`MariaDB instead of MySQL: ${error instanceof Error ? error.message : String(error)}`);
    return await startDatabaseServer('mariadb', { ownProcess: true });
  }
}

async function doMainJob(transcript: Transcript): Promise<void> {
  transcript.say('## Read: first from the database, then from the cache', 'All 10,000 posts, newest first:');
  await transcript.ask('GET', '/cache/posts');
  await transcript.ask('GET', '/cache/posts');
  transcript.say('One post, and a second one that nothing will happen to:');
  await transcript.ask('GET', '/cache/posts/1');
  const tag = await transcript.ask('GET', '/cache/posts/1');
  await transcript.ask('GET', '/cache/posts/2');
  transcript.say('A page. It belongs to the list and is forgotten with it:');
  await transcript.ask('GET', '/cache/posts?limit=2');
  transcript.say('Who has the answer already sends its entity tag, and gets no body:');
  await transcript.ask('GET', '/cache/posts/1', { headers: { 'if-none-match': tag } });
  transcript.say(
    '## What is in Redis now',
    'The values under the names that other programs may read, and a guard beside each: its version, its lease, open fences.',
  );
  await transcript.listKeys();
  transcript.say('## Update: exactly the keys it affects are gone', 'Post 1 changes:');
  await transcript.ask('PUT', '/cache/posts/1', { body: { title: 'A new title' } });
  transcript.say(
    '`post:1` and `posts:all` are gone and `post:2` is untouched. The bytes of the page stay until they expire, but its\nversion went with the guard of the list, and without one nothing is served:',
  );
  await transcript.listKeys();
  transcript.say('So the next read comes from the database, and the one after it from the cache again:');
  await transcript.ask('GET', '/cache/posts/1');
  await transcript.ask('GET', '/cache/posts/1');
  await transcript.ask('GET', '/cache/posts/2');
  await transcript.ask('GET', '/cache/posts');
  transcript.say('The entity tag of before no longer holds, neither for a read nor for a change:');
  await transcript.ask('GET', '/cache/posts/1', { headers: { 'if-none-match': tag } });
  await transcript.ask('PUT', '/cache/posts/1', { body: { title: 'Based on what was' }, headers: { 'if-match': tag } });
  transcript.say('## Create and delete');
  await transcript.ask('POST', '/cache/posts', { body: { title: 'The newest', content: 'Hello.', user_id: 1 } });
  await transcript.ask('GET', '/cache/posts?limit=1');
  await transcript.ask('DELETE', '/cache/posts/10001', { body: { user_id: 1 } });
  await transcript.ask('GET', '/cache/posts/10001');
  await transcript.listKeys();
  transcript.say('## Health');
  await transcript.ask('GET', '/cache/health');
}

function introduce(database: DatabaseServer, redis: RedisServer, beginning: string): string {
  const flavour = database.flavour === 'mysql' ? 'MySQL' : 'MariaDB (MySQL could not be had here)';
  return [
    '# Transcript',
    'The main job on real servers: 10,000 posts by 500 users are read, cached, changed, forgotten and read again.',
    [
      'This document is generated by `npm run transcript`, which starts the servers and the service, sends the requests one',
      'after the other and writes down what comes back. Requests are shown as the curl commands that do the same. Long texts',
      'and lists are cut at `…`, some headers are left out, and ports are shown as the usual ones. Times are those of one',
      'run on one machine, from sending the request to having the whole answer, each over a new connection: they show the',
      'order of magnitude, and are no benchmark.',
    ].join('\n'),
    `${flavour} ${database.version}, Redis ${redis.version}, Node ${process.versions.node}, ${availableParallelism()} logical processors shared by all of them.`,
    beginning,
  ].join('\n\n');
}

function begin(seedLines: readonly string[], seedMs: number, { lines, port }: ServiceProcess): string {
  const log = lines
    .filter((line) => /"msg":"(Cache|Database|HTTP)/.test(line))
    .map((line) =>
      line
        .replace(/(Redis at [^ ]+?):\d+/, '$1:6379')
        .replace(/(Database: [^ ]+?):\d+/, '$1:3306')
        .replaceAll(`:${port}`, ':4000'),
    )
    .map((line) => line.replace(/\(run \w+\)/, '(run …)'));
  return [
    '## Start',
    showConsole('npm run seed -- --posts 10000 --users 500', ...seedLines),
    `${formatMs(seedMs)}, the start of the process included.`,
    showConsole('REDIS_HOST=127.0.0.1 DB_HOST=127.0.0.1 npm start', ...log),
  ].join('\n\n');
}

function tabulate(exchanges: readonly Exchange[]): string {
  const rows = exchanges.map(
    ({ what, status, source, bytes, ms }) => `| \`${what}\` | ${status} | ${source} | ${bytes} | ${formatMs(ms)} |`,
  );
  return [
    '## All requests',
    ['| request | status | source | bytes | time |', '| --- | --- | --- | ---: | ---: |', ...rows].join('\n'),
  ].join('\n\n');
}

function showConsole(command: string, ...answer: string[]): string {
  return ['```console', `$ ${command}`, ...answer, '```'].join('\n');
}

function curl(method: string, path: string, body: unknown, headers: Record<string, string>): string {
  const given = Object.entries({ ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers });
  return [
    'curl -si',
    ...(method === 'GET' ? [] : [`-X ${method}`]),
    `'http://localhost:4000${path}'`,
    ...given.map(([name, value]) => `-H '${name}: ${value}'`),
    ...(body === undefined ? [] : [`-d '${JSON.stringify(body)}'`]),
  ].join(' ');
}

/** One line of JSON with long texts and lists cut. */
function shorten(json: unknown): string {
  return JSON.stringify(json, (_, value: unknown) => {
    if (typeof value === 'string' && value.length > longestText) return `${value.slice(0, longestText)}…`;
    if (Array.isArray(value) && value.length > 2) return [value[0], `… ${value.length - 1} more`];
    return value;
  }).replace(/"(… \d+ more)"/g, '$1');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function formatMs(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

async function end(service: ProgramProcess): Promise<void> {
  service.signal('SIGTERM');
  await service.ended;
}

await main();
