import type { IncomingMessage } from 'node:http';
import type { Answer } from '../cache/answer.ts';

/** Requests that the fast lane has read for, and that the routes are to answer all the same. */
const known = new WeakMap<IncomingMessage, Promise<Answer>>();

/** `reading` began after the request arrived, and may have failed. */
export function noteReading(request: IncomingMessage, reading: Promise<Answer>): void {
  known.set(request, reading);
}

/** What was read for a request already; else what `read` reads. */
export function answerFor(request: IncomingMessage, read: () => Promise<Answer>): Promise<Answer> {
  return known.get(request) ?? read();
}
