import { type ServerResponse, STATUS_CODES } from 'node:http';
import { type HeldEntry, mostPreparedBytes } from '../cache/memory-tier.ts';
import { chunksOf, toBuffer } from '../cache/rope.ts';
import { readMeta } from '../resources/meta.ts';
import { envelopeHead, envelopeTail, type PageOf, readHeaders, ttlPlace } from './envelope.ts';

/**
 * The answer to a hit as text that is made once per entry, but for what changes with time: the seconds of `Cache-Status` and
 * `Date`, the milliseconds of `timestamp`.
 *
 * The head is handed to `node:http` as it is kept: in `_header`, where `writeHead` would leave the text that it makes of
 * names and values. This is the one place that leans on a member which Node does not document; it has been there since
 * Node's first years. Making that text of twenty headers anew costs about a fifth of a small answer. Connections, their
 * order, keep-alive and time-outs stay with `node:http`. A test compares the bytes with those of `writeHead`.
 */
export class PreparedAnswer {
  readonly etag: string;
  readonly #held: HeldEntry;
  readonly #page: PageOf | undefined;
  readonly #ok: Head;
  #notModified: Head | undefined;
  /** Of a small value, one byte a character. To copy the text of a large one costs more than another buffer in the write. */
  readonly #body: string | undefined;

  constructor(held: HeldEntry, page: PageOf | undefined) {
    this.#held = held;
    this.#page = page;
    this.etag = readMeta(held.meta).etag;
    this.#ok = toHead(readHeaders(held, page, 200));
    this.#body =
      held.value.length > mostPreparedBytes ? undefined : envelopeHead + toBuffer(held.value).toString('latin1');
  }

  send(response: ServerResponse, frame: Frame, ttlMs: number): void {
    const now = Date.now();
    const seconds = Math.floor(ttlMs / 1000);
    const isShared = last.answer === this && last.frame === frame && last.seconds === seconds && last.sentAt === now;
    if (isShared && last.text !== undefined) return endWith(response, last.text);
    const head = `${frame.ok}${headAt(this.#ok, seconds, now)}${frame.ending}${this.#body ?? envelopeHead}`;
    const tail = envelopeTail('cache', isoTime(now));
    if (this.#body !== undefined) {
      last = { answer: this, frame, seconds, sentAt: now, text: head + tail };
      return endWith(response, head + tail);
    }
    const { value } = this.#held;
    if (isShared && value.length <= mostJoinedBytes) {
      last.joined ??= Buffer.concat([Buffer.from(head, 'latin1'), ...chunksOf(value), Buffer.from(tail, 'latin1')]);
      return endWithBytes(response, last.joined);
    }
    last = { answer: this, frame, seconds, sentAt: now };
    return this.#sendParts(response, head, tail);
  }

  sendNotModified(response: ServerResponse, frame: Frame, ttlMs: number): void {
    const now = Date.now();
    const seconds = Math.floor(ttlMs / 1000);
    response.statusCode = 304;
    const isShared = last304.answer === this && last304.frame === frame && last304.seconds === seconds;
    if (!isShared || last304.sentAt !== now || last304.text === undefined) {
      this.#notModified ??= toHead(readHeaders(this.#held, this.#page, 304));
      const text = `${frame.notModified}${headAt(this.#notModified, seconds, now)}${frame.ending}`;
      last304 = { answer: this, frame, seconds, sentAt: now, text };
    }
    endWith(response, last304.text ?? '');
  }

  #sendParts(response: ServerResponse, head: string, tail: string): void {
    response.cork();
    setHead(response, head);
    for (const chunk of chunksOf(this.#held.value)) response.write(chunk);
    response.end(tail, 'latin1');
    response.uncork();
  }
}

/** What was sent last: those who share a validation get the same, which is made flat by its first write. */
interface Sent {
  readonly answer?: PreparedAnswer;
  readonly frame?: Frame;
  readonly seconds: number;
  readonly sentAt: number;
  readonly text?: string;
  /** Made when a second one asks: to copy a value costs more than a write of three parts, but not than several of them. */
  joined?: Buffer;
}

let last: Sent = { seconds: 0, sentAt: 0 };
let last304: Sent = { seconds: 0, sentAt: 0 };

const mostJoinedBytes = 256 * 1024;

/** What is the same in all answers to one origin. */
export interface Frame {
  /** Status line and the headers that hooks have set. */
  readonly ok: string;
  readonly notModified: string;
  /** The headers of the connection, and the empty line. */
  readonly ending: string;
}

/** `hookHeaders` are names and values in turn; `keepAliveMs` is what the server has. */
export function toFrame(hookHeaders: readonly string[], keepAliveMs: number): Frame {
  const hooks = toLines(hookHeaders);
  return {
    ok: `HTTP/1.1 200 ${STATUS_CODES[200]}\r\n${hooks}`,
    notModified: `HTTP/1.1 304 ${STATUS_CODES[304]}\r\n${hooks}`,
    ending: `\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`,
  };
}

interface Head {
  readonly before: string;
  readonly after: string;
}

function toHead(headers: readonly string[]): Head {
  const [before = '', after = ''] = toLines(headers).split(ttlPlace);
  return { before, after: `${after}Date: ` };
}

function toLines(headers: readonly string[]): string {
  let text = '';
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return text;
}

function headAt({ before, after }: Head, seconds: number, now: number): string {
  return `${before}${seconds}${after}${httpDate(now)}`;
}

/** The whole answer goes out as its head. */
function endWith(response: ServerResponse, text: string): void {
  setHead(response, text);
  response.end();
}

/** The same for bytes: the head counts as sent already. */
function endWithBytes(response: ServerResponse & { _headerSent?: boolean }, bytes: Buffer): void {
  setHead(response, ' ');
  response._headerSent = true;
  response.end(bytes);
}

function setHead(response: ServerResponse & { _header?: string | null }, text: string): void {
  response._header = text;
}

let dateSecond = 0;
let date = '';

/** As of RFC 9110, section 5.6.7. */
function httpDate(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = new Date(now).toUTCString();
  }
  return date;
}

let isoAt = 0;
let iso = '';

function isoTime(now: number): string {
  if (now !== isoAt) {
    isoAt = now;
    iso = new Date(now).toISOString();
  }
  return iso;
}
