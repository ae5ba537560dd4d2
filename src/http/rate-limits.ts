import { isIPv6 } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { CatalogueError } from '../errors.ts';
import type { Settings } from '../options.ts';
import type { Resource } from '../resources/resource.ts';
import { OwnCounts, type RequestCounts } from './request-counts.ts';

/**
 * How many requests of one address are answered within a minute: reads, writes and broadcasts have a budget each. Windows
 * are fixed: the first request of an address begins one. All instances count together in Redis, and each for itself while
 * Redis is away.
 *
 * An address that has used up its budget is remembered here until its window ends, so that a flood costs Redis nothing.
 * What is left is told with every answer: draft-ietf-httpapi-ratelimit-headers-10.
 */
export class RateLimits {
  readonly #budgets: Budgets;
  readonly #shared: RequestCounts | undefined;
  readonly #own: RequestCounts;
  readonly #now: () => number;
  /** When the window ends of those who have used up their budget. */
  readonly #refused = new LRUCache<string, number>({ max: mostRefused });

  /** Without `shared` this process counts alone. `now` is in milliseconds. */
  constructor(budgets: Budgets, shared: RequestCounts | undefined, now: () => number) {
    this.#budgets = budgets;
    this.#shared = shared;
    this.#own = new OwnCounts(now);
    this.#now = now;
  }

  /** Sets the headers. Throws `CatalogueError` `RATE_LIMITED`. */
  async take(budget: Budget, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const most = this.#budgets[budget];
    if (most === 0) return;
    const { count, leftMs } = await this.#count(`${budget}:${groupOf(request.ip)}`, most);
    const leftS = Math.max(1, Math.ceil(leftMs / 1_000));
    reply.header('ratelimit-policy', `"${budget}";q=${most};w=${windowMs / 1_000}`);
    reply.header('ratelimit', `"${budget}";r=${Math.max(0, most - count)};t=${leftS}`);
    if (count <= most) return;
    reply.header('retry-after', String(leftS));
    throw new CatalogueError('RATE_LIMITED', { params: { budget, seconds: String(leftS) } });
  }

  async #count(key: string, most: number): ReturnType<RequestCounts['count']> {
    const refusedUntil = this.#refused.get(key) ?? 0;
    const leftMs = refusedUntil - this.#now();
    if (leftMs > 0) return { count: most + 1, leftMs };
    const counted = await this.#countAnywhere(key);
    if (counted.count > most) this.#refused.set(key, this.#now() + counted.leftMs);
    return counted;
  }

  async #countAnywhere(key: string): ReturnType<RequestCounts['count']> {
    try {
      if (this.#shared !== undefined) return await this.#shared.count(key, windowMs);
    } catch {
      // Redis is away: its own part of the service says so.
    }
    return await this.#own.count(key, windowMs);
  }
}

export type Budget = 'reads' | 'writes' | 'broadcasts';
/** By minute; 0 for no limit. */
export type Budgets = Readonly<Record<Budget, number>>;

/** Adds a hook that counts, if anything is limited. Before the routes of `app` are added. */
export function limitRequests(
  app: FastifyInstance,
  settings: LimitSettings,
  { resources, counts }: { readonly resources: readonly Resource[]; readonly counts: RequestCounts | undefined },
): void {
  const budgets = {
    reads: settings.RATE_LIMIT_READS,
    writes: settings.RATE_LIMIT_WRITES,
    broadcasts: settings.RATE_LIMIT_BROADCASTS,
  };
  if (Object.values(budgets).every((most) => most === 0)) return;
  const limits = new RateLimits(budgets, counts, Date.now);
  const patterns = new Set(resources.flatMap(({ path }) => [path, `${path}/:id`]));
  app.addHook('onRequest', async (request, reply) => {
    const budget = budgetOf(request, patterns);
    if (budget !== undefined) await limits.take(budget, request, reply);
  });
}

type LimitSettings = Pick<Settings, 'RATE_LIMIT_READS' | 'RATE_LIMIT_WRITES' | 'RATE_LIMIT_BROADCASTS'>;

/** By the pattern of the route, not by the URL. */
function budgetOf({ method, routeOptions }: FastifyRequest, patterns: ReadonlySet<string>): Budget | undefined {
  const { url = '' } = routeOptions;
  if (url === '/internal/broadcast') return method === 'POST' ? 'broadcasts' : undefined;
  if (!patterns.has(url)) return undefined;
  if (method === 'GET' || method === 'HEAD') return 'reads';
  return method === 'POST' || method === 'PUT' || method === 'DELETE' ? 'writes' : undefined;
}

/**
 * Who has an IPv6 address has all 2^64 of its network (RFC 4291, section 2.5.4), so the network counts. An IPv4 address that
 * is written as one of IPv6 is what it is.
 */
export function groupOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [bare = ''] = address.split('%');
  if (!isIPv6(bare)) return address;
  const [head = '', tail] = bare.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - front.length - back.length;
  const groups = [...front, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...back];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

const windowMs = 60_000;
const mostRefused = 100_000;
