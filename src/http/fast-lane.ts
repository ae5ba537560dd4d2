import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { FastReader } from '../cache/held-reads.ts';
import type { HeldEntry } from '../cache/memory-tier.ts';
import { isAbsent } from '../cache/negative.ts';
import type { Answer } from '../cache/answer.ts';
import type { ResourceReader } from '../resources/reader.ts';
import type { Resource } from '../resources/resource.ts';
import type { Compression } from './compression.ts';
import { type Frame, toFrame } from './answer-text.ts';
import { codingKnown } from './conditional.ts';
import type { PageOf } from './envelope.ts';
import type { Gate } from './gate.ts';
import { noteReading } from './known-answers.ts';
import type { LearnedHeaders } from './learned-headers.ts';
import { sendLoaded } from './loaded-answer.ts';
import { ask, pageQuery, read, type Readable, type WhatCounts, whatCounts } from './plain-reads.ts';
import { type Duration, type DurationOf, noteArrival } from './request-durations.ts';
import type { Sending } from './sending.ts';
import { PreparedAnswer } from './prepared-answer.ts';

/**
 * The fast lane: plain reads are answered in front of fastify, with the very bytes that fastify's routes would answer. All else
 * goes on to fastify: other methods and paths, requests with a body, everything while the server closes; and, with what was
 * read already, what is absent, fails, or is loaded and large.
 *
 * The headers that the hooks of the application set (CORS, security) are not known here: see `learned-headers.ts`. A hook that
 * must see every request (a limit of rates) needs the lane closed. While there is too much to do, what is not in memory goes
 * through the gate like all that fastify answers.
 */
export class FastLane {
  readonly #headers: LearnedHeaders;
  readonly #frames = new Map<string | undefined, Frame>();
  readonly #served: Served[] = [];
  readonly sending: Sending;
  readonly compression: Compression;
  readonly gate: Gate;
  readonly #durationOf: DurationOf;
  #isOpen: boolean;
  #keepAliveMs = 0;

  constructor(options: FastLaneOptions) {
    this.sending = options.sending;
    this.compression = options.compression;
    this.#durationOf = options.durationOf;
    this.gate = options.gate;
    this.#isOpen = options.isOpen;
    this.#headers = options.headers;
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
      const frame = told === undefined ? undefined : this.#frameFor(told.origin);
      if (told === undefined || frame === undefined) return false;
      const reader = new Reader(this, request, response, goOn, served, frame, told);
      const asked = ask(served, url, reader);
      if (asked === false) reader.miss();
      return asked !== undefined;
    }
    return false;
  }

  #frameFor(origin: string | undefined): Frame | undefined {
    const known = this.#frames.get(origin);
    if (known !== undefined) return known;
    const learned = this.#headers.of(origin);
    if (learned === undefined) return undefined;
    const frame = toFrame(learned, this.#keepAliveMs);
    this.#frames.set(origin, frame);
    return frame;
  }
}

interface FastLaneOptions {
  readonly isOpen: boolean;
  readonly headers: LearnedHeaders;
  readonly gate: Gate;
  readonly sending: Sending;
  readonly compression: Compression;
  readonly durationOf: DurationOf;
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
      this.#goWholeWay();
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
      this.#goWholeWay();
      return;
    }
    answer.send(this.#response, this.#frame, ttlMs, coded);
    this.#durations.ok.observe(performance.now() - this.#arrivedAt);
  }

  miss(): void {
    if (this.#lane.gate.refuse(this.#request, this.#response, true)) return;
    const reading = read(this.#served, this.#request.url ?? '');
    reading.then(
      (answer) => {
        if (!this.#answer(answer)) this.#goWholeWay(reading);
      },
      () => this.#goWholeWay(reading),
    );
  }

  /** `false` for what needs more than the plainest answer. */
  #answer(answer: Answer): boolean {
    const { outcome, held, value } = answer;
    if (!this.#lane.isOpen || isAbsent(answer)) return false;
    if (outcome.kind === 'hit' && held !== undefined) {
      this.hit(held, outcome.ttlMs);
      return true;
    }
    if (this.#ifNoneMatch !== undefined) return false;
    const isVarying = this.#lane.compression.varies(value.length);
    const isSent = sendLoaded(this.#response, this.#frame, answer, { page: this.#page(), isVarying });
    if (isSent) this.#durations.ok.observe(performance.now() - this.#arrivedAt);
    return isSent;
  }

  /** `reading`: what was read by now, and need not be read again. */
  #goWholeWay(reading?: Promise<Answer>): void {
    noteArrival(this.#request, this.#arrivedAt);
    if (reading !== undefined) noteReading(this.#request, reading);
    this.#goOn(this.#request, this.#response);
  }

  #prepare(held: HeldEntry): PreparedAnswer {
    const answer = new PreparedAnswer(held, this.#page(), this.#lane.compression.varies(held.value.length));
    held.prepared = answer;
    return answer;
  }

  #page(): PageOf | undefined {
    const limit = pageQuery.exec(this.#request.url ?? '')?.[1];
    return limit === undefined ? undefined : { path: this.#served.path, limit: Number(limit) };
  }
}

interface Durations {
  readonly ok: Duration;
  readonly notModified: Duration;
}

interface Served extends Readable {
  readonly list: Durations;
  readonly item: Durations;
}

const slash = 47;
