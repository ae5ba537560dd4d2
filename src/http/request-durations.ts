import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** Where to tell how long a request took, in milliseconds. */
export interface Duration {
  observe(ms: number): void;
}

/** The one for these labels; `route` is the pattern of a path, never a path. */
export type DurationOf = (method: string, route: string, status: number) => Duration;

/** Requests that came by the fast lane and went on from there began before fastify saw them. */
const arrivals = new WeakMap<IncomingMessage, number>();

/** `at`: of `performance.now()`. */
export function noteArrival(request: IncomingMessage, at: number): void {
  arrivals.set(request, at);
}

/** Whether the fast lane has begun with the request. */
export function cameByLane(request: IncomingMessage): boolean {
  return arrivals.has(request);
}

/** Tells of every request that fastify answers. */
export function observeRequests(app: FastifyInstance, durationOf: DurationOf): void {
  app.addHook('onResponse', async (request, reply) => {
    const arrivedAt = arrivals.get(request.raw);
    const ms = arrivedAt === undefined ? reply.elapsedTime : performance.now() - arrivedAt;
    const method = methods.has(request.method) ? request.method : 'other';
    durationOf(method, request.routeOptions.url ?? 'none', reply.raw.statusCode).observe(ms);
  });
}

/** Clients may send any; each would be a label. */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']);
