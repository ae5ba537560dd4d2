import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { FastReader } from '../cache/held-reads.ts';
import type { HeldEntry } from '../cache/memory-tier.ts';
import type { ResourceReader } from '../resources/reader.ts';
import type { Resource } from '../resources/resource.ts';
import type { Compression } from './compression.ts';
import { codingKnown } from './conditional.ts';
import { type Duration, type DurationOf, noteArrival } from './request-durations.ts';
import type { Sending } from './sending.ts';
import { type Frame, PreparedAnswer, toFrame } from './prepared-answer.ts';

/**
 * The fast lane: reads that this process holds are answered in front of fastify, with the very bytes that fastify's routes
 * would answer. All else goes on to fastify: other methods and paths, requests with a body, pages that are not held, what
 * the cache server does not confirm, everything while the server closes.
 *
 * The headers that the hooks of the application set (CORS, security) are not known here: they are **learned**, for each
 * origin that is configured and for requests without one, from the first answer that went the whole way. So a hook must
 * set nothing that depends on more than the origin; one that must see every request (a limit of rates) needs the lane
 * closed.
 */
export class FastLane {
  readonly #origins: ReadonlySet<string | undefined>;
  readonly #learned = new Map<string | undefined, Frame>();
  readonly #served: Served[] = [];
  readonly sending: Sending;
  readonly compression: Compression;
  readonly #durationOf: DurationOf;
  #isOpen: boolean;
  #keepAliveMs = 0;

  constructor(options: FastLaneOptions) {
    this.sending = options.sending;
    this.compression = options.compression;
    this.#durationOf = options.durationOf;
    this.#isOpen = options.isOpen;
    this.#origins = new Set([undefined, ...options.origins]);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The reads of `resource` may take the lane. */
  serve({ path }: Resource, reader: ResourceReader): void {
    const durationsOf = (route: string): Durations => ({
      ok: this.#durationOf('GET', route, 200),
      notModified: this.#durationOf('GET', route, 304),
    });
    const [list, item] = [durationsOf(path), durationsOf(`${path}/:id`)];
    this.#served.push({ path, itemPrefix: `${path}/`, reader, list, item });
  }

  /** What hooks have set for a read that was answered the whole way, as names and values in turn. */
  learn(origin: string | undefined, hookHeaders: readonly string[]): void {
    if (!this.#origins.has(origin) || this.#learned.has(origin)) return;
    this.#learned.set(origin, toFrame(hookHeaders, this.#keepAliveMs));
  }

  /** Puts itself before whatever listens for requests by now. */
  attach(server: Server): void {
    if (!this.#isOpen) return;
    this.#keepAliveMs = server.keepAliveTimeout;
    // Node calls the listeners of `request` with these two.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const others = server.listeners('request') as RequestListener[];
    const goOn: RequestListener = (request, response) => {
      for (const listener of others) listener.call(server, request, response);
    };
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (!this.#isOpen || !this.#take(request, response, goOn)) goOn(request, response);
    });
  }

  /** From now on fastify answers everything: it tells its clients that the server goes. */
  close(): void {
    this.#isOpen = false;
  }

  #take(request: IncomingMessage, response: ServerResponse, goOn: RequestListener): boolean {
    const { url, method } = request;
    if (method !== 'GET' || url === undefined || request.httpVersionMinor !== 1) return false;
    for (const served of this.#served) {
      if (!url.startsWith(served.path)) continue;
      const told = whatCounts(request.rawHeaders);
      const frame = told === undefined ? undefined : this.#learned.get(told.origin);
      if (told === undefined || frame === undefined) return false;
      return ask(served, url, new Reader(this, request, response, goOn, served, frame, told));
    }
    return false;
  }
}

interface FastLaneOptions {
  readonly isOpen: boolean;
  readonly origins: readonly string[];
  readonly sending: Sending;
  readonly compression: Compression;
}

/** One request in the lane. */
class Reader implements FastReader {
  readonly #lane: FastLane;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #goOn: RequestListener;
  readonly #served: Served;
  readonly #durations: Durations;
  readonly #arrivedAt = performance.now();
  readonly #frame: Frame;
  readonly #ifNoneMatch: string | undefined;
  readonly #acceptEncoding: string | undefined;

  constructor(
    lane: FastLane,
    request: IncomingMessage,
    response: ServerResponse,
    goOn: RequestListener,
    served: Served,
    frame: Frame,
    { ifNoneMatch, acceptEncoding }: WhatCounts,
  ) {
    this.#lane = lane;
    this.#request = request;
    this.#response = response;
    this.#goOn = goOn;
    this.#served = served;
    this.#durations = request.url?.charCodeAt(served.path.length) === slash ? served.item : served.list;
    this.#frame = frame;
    this.#ifNoneMatch = ifNoneMatch;
    this.#acceptEncoding = acceptEncoding;
  }

  hit(held: HeldEntry, ttlMs: number): void {
    // The server may have begun to close meanwhile.
    if (!this.#lane.isOpen) {
      this.miss();
      return;
    }
    const answer = held.prepared instanceof PreparedAnswer ? held.prepared : this.#prepare(held);
    const { compression, sending } = this.#lane;
    if (this.#ifNoneMatch !== undefined) {
      const known = codingKnown(this.#ifNoneMatch, answer.etag, compression.acceptance(this.#acceptEncoding));
      if (known !== undefined) {
        answer.sendNotModified(this.#response, this.#frame, ttlMs, known);
        this.#durations.notModified.observe(performance.now() - this.#arrivedAt);
        return;
      }
    }
    const coded = compression.find(held, this.#acceptEncoding);
    if (!sending.begin(this.#response, coded?.bytes ?? held.value)) {
      // The whole way says so.
      this.miss();
      return;
    }
    answer.send(this.#response, this.#frame, ttlMs, coded);
    this.#durations.ok.observe(performance.now() - this.#arrivedAt);
  }

  miss(): void {
    noteArrival(this.#request, this.#arrivedAt);
    this.#goOn(this.#request, this.#response);
  }

  #prepare(held: HeldEntry): PreparedAnswer {
    const limit = pageQuery.exec(this.#request.url ?? '')?.[1];
    const page = limit === undefined ? undefined : { path: this.#served.path, limit: Number(limit) };
    const answer = new PreparedAnswer(held, page, this.#lane.compression.varies(held.value.length));
    held.prepared = answer;
    return answer;
  }
}

interface FastLaneOptions {
  readonly isOpen: boolean;
  readonly origins: readonly string[];
  readonly sending: Sending;
  readonly durationOf: DurationOf;
}

interface Durations {
  readonly ok: Duration;
  readonly notModified: Duration;
}

interface Served {
  readonly path: string;
  readonly itemPrefix: string;
  readonly reader: ResourceReader;
  readonly list: Durations;
  readonly item: Durations;
}

/** Nothing but the plainest form of each URL: the rest is fastify's to understand. */
function ask({ path, itemPrefix, reader }: Served, url: string, asker: FastReader): boolean {
  if (url.length === path.length) return reader.readFastList(asker);
  if (url.startsWith(itemPrefix)) {
    const id = url.slice(itemPrefix.length);
    return isPlainId(id) && reader.readFastItem(id, asker);
  }
  const [, limit, after] = (url.charCodeAt(path.length) === questionMark ? pageQuery.exec(url) : null) ?? [];
  return limit !== undefined && reader.readFastPage(Number(limit), after, asker);
}

const questionMark = 63;
const slash = 47;
const pageQuery = /^[^?]*\?limit=([1-9]\d?|100)(?:&after=([\w-]+))?$/;

/** Up to 15 digits, so that nobody need look at how large it is. */
function isPlainId(text: string): boolean {
  if (text.length === 0 || text.length > 15 || text.charCodeAt(0) === zero) return false;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - zero;
    if (digit < 0 || digit > 9) return false;
  }
  return true;
}

const zero = 48;

interface WhatCounts {
  origin: string | undefined;
  acceptEncoding: string | undefined;
  ifNoneMatch: string | undefined;
}

/**
 * The headers that an answer depends on, out of names and values in turn; `undefined` when one says that there is a body,
 * that the connection is to end or change, or is there twice.
 */
function whatCounts(headers: readonly string[]): WhatCounts | undefined {
  let origin: string | undefined;
  let acceptEncoding: string | undefined;
  let ifNoneMatch: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? '';
    // Most names are told by their length.
    if (!lengthsThatCount.has(name.length)) continue;
    switch (name.toLowerCase()) {
      case 'origin':
        if (origin !== undefined) return undefined;
        origin = headers[at + 1];
        break;
      case 'accept-encoding':
        if (acceptEncoding !== undefined) return undefined;
        acceptEncoding = headers[at + 1];
        break;
      case 'if-none-match':
        if (ifNoneMatch !== undefined) return undefined;
        ifNoneMatch = headers[at + 1];
        break;
      case 'connection':
        if (headers[at + 1]?.toLowerCase() !== 'keep-alive') return undefined;
        break;
      case 'content-length':
      case 'transfer-encoding':
      case 'upgrade':
      case 'expect':
        return undefined;
      default:
    }
  }
  return { origin, acceptEncoding, ifNoneMatch };
}

const lengthsThatCount = new Set(
  [
    'origin',
    'accept-encoding',
    'if-none-match',
    'connection',
    'content-length',
    'transfer-encoding',
    'upgrade',
    'expect',
  ].map(({ length }) => length),
);
