import type { Key } from '../cache/key.ts';
import { readClaim } from '../database/barrier.ts';
import { readOrigin } from '../database/incarnation.ts';
import { describeError } from '../errors.ts';
import { type Inspection, inspectKey, sizesOf } from '../redis/inspection.ts';
import type { Lookout } from '../redis/lookout.ts';
import { type KeyMeaning, keyForms, meaningOfKey } from '../resources/key-meaning.ts';
import { readMeta } from '../resources/meta.ts';
import { resources } from '../resources/registry.ts';
import { openDatabase } from '../database/open.ts';
import { type Grounds, judge, type Verdict } from './key-verdict.ts';
import { inspectInInstance } from './inspect-instance.ts';
import { insteadOfRedisFlag, internalUrlOf } from './instance-url.ts';
import { keyOfUrl, type UrlMeaning } from './key-of-url.ts';
import type { Output } from './output.ts';
import { type OnServers, onServers, openLookout } from './on-servers.ts';
import { OperatorApi } from './running-instance.ts';
import { type ExitName, usageError, type Verb } from './verb.ts';

export const inspect: Verb = {
  name: 'inspect',
  summary: 'say what is cached under a key or for a URL, and why or why not',
  details: [
    'A URL is read by the routes themselves, so what it maps to is what a request would read. Version, age, time to live, size, guard and fences come from Redis; whether the version counts comes from the claim and the database. It looks and changes nothing. What an instance holds in its memory is not seen: it is served only while its version is the one in Redis.',
    'The age is told from and to, because times to live are shortened by chance, by up to a tenth.',
  ],
  argument: {
    name: 'key|url',
    description: 'a key such as `post:42`, or a URL or path such as `/cache/posts?limit=20`',
    isRequired: true,
  },
  flags: [insteadOfRedisFlag],
  run: async (given) => {
    const { argument = '', output } = given;
    const url = /^(\/|https?:)/i.test(argument) ? await keyOfUrl(argument, resources) : undefined;
    const key = url === undefined ? argument : url.key;
    if (key === undefined) {
      output.show({ url, state: 'refused' }, refusalLines(url));
      return 'done';
    }
    const meaning = meaningOfKey(key, resources);
    if (meaning === undefined) {
      throw usageError(`"${key}" is no key of a resource; keys are like ${keyForms(resources).join(', ')}`);
    }
    const about = { ...(url === undefined ? {} : { url }), key, resource: meaning.resource.name, kind: meaning.kind };
    const head = headLines(key, meaning, url);
    const servers = onServers(given);
    if (servers !== undefined) return await inspectOnServers(meaning, { about, head }, servers, output);
    const { document, lines } = await inspectInInstance(key, OperatorApi.ofSettings(internalUrlOf(given)));
    output.show({ ...about, ...document }, [...head, ...lines]);
    return 'done';
  },
};

async function inspectOnServers(
  meaning: KeyMeaning,
  { about, head }: { about: { key: Key }; head: readonly string[] },
  servers: OnServers,
  output: Output,
): Promise<ExitName> {
  const seen = await look(about.key, servers);
  if ('unreachable' in seen) {
    output.show({ ...about, state: 'unreachable', reasons: [seen.unreachable] }, [
      ...head,
      `not to be seen: ${seen.unreachable}`,
    ]);
    return 'failed';
  }
  const { found, grounds, segments } = seen;
  const verdict = judge(meaning, found, grounds);
  const told = segments === undefined ? {} : { segments };
  output.show({ ...about, ...verdict, ...told, found }, [
    ...head,
    ...foundLines(found, verdict),
    ...segmentLines(segments),
  ]);
  return 'done';
}

interface Segments {
  readonly first: string;
  readonly last: string;
  readonly count: number;
  /** Those that have bytes. */
  readonly there: number;
  readonly bytes: number;
}

type Seen =
  | { readonly found: Inspection; readonly grounds: Grounds | undefined; readonly segments: Segments | undefined }
  | { readonly unreachable: string };

async function look(key: Key, servers: OnServers): Promise<Seen> {
  const lookout = openLookout(servers);
  try {
    const [found, grounds] = await Promise.all([inspectKey(lookout, key), learnGrounds(servers)]);
    return { found, grounds, segments: await inspectSegments(lookout, key, found) };
  } catch (error) {
    return { unreachable: `Redis cannot be asked: ${describeError(error)}` };
  } finally {
    lookout.close();
  }
}

/** `undefined` while the database is away. */
async function learnGrounds({ config, redis }: OnServers): Promise<Grounds | undefined> {
  const database = openDatabase(config);
  try {
    const claim = await readClaim(database);
    return { claim: redis.kind === 'cluster' ? undefined : claim, origin: await readOrigin(database) };
  } catch {
    return undefined;
  } finally {
    await database.close();
  }
}

/** Those that a list was put together from. */
async function inspectSegments(lookout: Lookout, key: Key, { meta }: Inspection): Promise<Segments | undefined> {
  const meaning = meaningOfKey(key, resources);
  const { segments } = readMeta(meta);
  if (meaning?.kind !== 'list' || segments === undefined) return undefined;
  const { first, last } = segments;
  const count = Math.min(Number(last - first) + 1, mostSegments);
  const keys = Array.from({ length: count }, (_, at) => meaning.resource.segmentKey(first + BigInt(at)));
  return { first: String(first), last: String(last), count, ...(await sizesOf(lookout, keys)) };
}

/** As many as a list is put together from. */
const mostSegments = 4_096;

function refusalLines(url: UrlMeaning | undefined): string[] {
  const { path, refusal } = url ?? {};
  return [
    `GET ${path}`,
    `not cached: it reads no key, and is answered ${refusal?.status} ${refusal?.code}: ${refusal?.message}`,
  ];
}

function headLines(key: Key, meaning: KeyMeaning, url: UrlMeaning | undefined): string[] {
  const { resource } = meaning;
  const kinds = { row: 'a row', list: 'the list', page: 'a page of the list', segment: 'a segment of the list' };
  const ignored = url?.ignored ?? [];
  return [
    ...(url === undefined ? [] : [`GET ${url.path}`]),
    ...(ignored.length === 0 ? [] : [`parameters that make no difference, and no key: ${ignored.join(', ')}`]),
    `${key}: ${kinds[meaning.kind]} of ${resource.name}`,
  ];
}

function foundLines(found: Inspection, { state, reasons, isTrusted, ageMs }: Verdict): string[] {
  const row = (name: string, text: string): string => `  ${name.padEnd(8)} ${text}`;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const trust =
    isTrusted === null ? 'the database could not be asked whether it counts' : isTrusted ? 'counts' : 'does not count';
  const fences = found.fences.map(({ token, remainingMs }) => `${token} (${remainingMs} ms)`);
  const lease = found.lease === undefined ? 'free' : `${found.lease.token} (${found.lease.remainingMs} ms)`;
  const shown = found.parts.slice(0, mostParts).join(', ');
  const more = found.parts.length > mostParts ? `, ... ${found.parts.length} in all` : '';
  return [
    `state: ${state}`,
    ...reasons.map((reason) => `  ${reason}`),
    row('version', found.version === null ? 'none' : `${found.version} (${trust})`),
    ...(ageMs === null ? [] : [row('age', `${seconds(ageMs[0])} to ${seconds(ageMs[1])}`)]),
    ...(found.ttlMs === null ? [] : [row('ttl', seconds(found.ttlMs))]),
    ...(found.bytes === null
      ? []
      : [
          row(
            'size',
            `${found.bytes} bytes${found.memoryBytes === null ? '' : `, ${found.memoryBytes} in Redis with its guard`}`,
          ),
        ]),
    ...(found.version === null ? [] : [row('loaded', `in ${found.loadMs} ms`)]),
    row(
      'guard',
      `lease ${lease}; fences ${fences.length === 0 ? 'none' : fences.join(', ')}; ${found.waiters} waiting`,
    ),
    ...(found.parts.length === 0 ? [] : [row('parts', `${shown}${more}`)]),
  ];
}

const mostParts = 20;

function segmentLines(segments: Segments | undefined): string[] {
  if (segments === undefined) return [];
  const { first, last, count, there, bytes } = segments;
  return [`  segments ${there} of ${count} (${first} to ${last}) are cached, ${bytes} bytes`];
}
