import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { LoadShedding } from '../overload/load-shedding.ts';
import { type RefusalReason, Shed } from '../overload/shed.ts';
import type { Resource } from '../resources/resource.ts';
import type { LearnedHeaders } from './learned-headers.ts';
import { problemType, toProblem } from './problem.ts';
import { cameByLane, type Duration, type DurationOf } from './request-durations.ts';

/**
 * Stands between the fast lane and fastify, and refuses reads and writes of resources while there is too much to do. What is
 * refused costs hardly more than to be parsed; what the lane answers from memory costs as little, so it is never refused. Nor is
 * anything else: probes, metrics and the dashboard are wanted most just then, and a broadcast tells of a change that has
 * happened.
 */
export class Gate {
  readonly #shedding: Pick<LoadShedding, 'refuse'> | undefined;
  readonly #headers: LearnedHeaders;
  readonly #durationOf: DurationOf;
  readonly #paths: string[] = [];
  readonly #durations = new Map<string, Duration>();

  /** Without `shedding` all may pass. */
  constructor({ shedding, headers, durationOf }: GateOptions) {
    this.#shedding = shedding;
    this.#headers = headers;
    this.#durationOf = durationOf;
  }

  /** Requests for `resource` may be refused. */
  serve({ path }: Resource): void {
    this.#paths.push(path);
  }

  /** Puts itself before whatever listens for requests by now. */
  attach(server: Server): void {
    if (this.#shedding === undefined) return;
    // Node calls the listeners of `request` with these two.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const others = server.listeners('request') as RequestListener[];
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (!cameByLane(request) && this.refuse(request, response, !isRead(request))) return;
      for (const listener of others) listener.call(server, request, response);
    });
  }

  /** Whether the request was answered with a refusal. `needsDatabase`: a write, or a read of what is not cached. */
  refuse(request: IncomingMessage, response: ServerResponse, needsDatabase: boolean): boolean {
    const { url = '', method = '' } = request;
    if (this.#shedding === undefined || !methods.has(method)) return false;
    const path = this.#paths.find((each) => isUnder(url, each));
    const reason = path === undefined ? undefined : this.#shedding.refuse(needsDatabase);
    if (path === undefined || reason === undefined) return false;
    const route = url.charCodeAt(path.length) === slash ? `${path}/:id` : path;
    const { origin } = request.headers;
    const hookHeaders = this.#headers.of(origin) ?? this.#headers.of(undefined) ?? [];
    const { headers, body, code } = refusals[reason];
    const status = isRead(request) ? ['cache-status', `EnergeX; fwd=bypass; detail=${code}`] : [];
    response.writeHead(503, [...hookHeaders, ...status, ...headers]);
    response.end(body);
    this.#durationFor(method, route).observe(0);
    return true;
  }

  #durationFor(method: string, route: string): Duration {
    const key = `${method} ${route}`;
    const known = this.#durations.get(key);
    if (known !== undefined) return known;
    const made = this.#durationOf(method, route, 503);
    this.#durations.set(key, made);
    return made;
  }
}

export interface GateOptions {
  readonly shedding: Pick<LoadShedding, 'refuse'> | undefined;
  readonly headers: LearnedHeaders;
  readonly durationOf: DurationOf;
}

function isUnder(url: string, path: string): boolean {
  return url.startsWith(path) && ends.has(url.charAt(path.length));
}

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']);
const ends = new Set(['', '/', '?']);
const slash = 47;

/** As `answerProblem` sends it. */
function toRefusal(reason: RefusalReason): Refusal {
  const error = new Shed(reason);
  const body = JSON.stringify(toProblem(error));
  const length = String(Buffer.byteLength(body));
  const headers = [
    'retry-after',
    '1',
    'cache-control',
    'no-store',
    'content-type',
    problemType,
    'content-length',
    length,
  ];
  return { code: error.code, headers, body };
}

interface Refusal {
  readonly code: string;
  readonly headers: readonly string[];
  readonly body: string;
}

const refusals: Readonly<Record<RefusalReason, Refusal>> = {
  'event-loop': toRefusal('event-loop'),
  database: toRefusal('database'),
};
