import type { ServerResponse } from 'node:http';
import { type HeldEntry, mostPreparedBytes } from '../cache/memory-tier.ts';
import { chunksOf, toBuffer } from '../cache/rope.ts';
import { readMeta } from '../resources/meta.ts';
import type { ContentCoding } from '../option-kinds.ts';
import { endWith, type Frame, httpDate, isoTime, setHead, toLines } from './answer-text.ts';
import { type CodedValue, codedTail } from './coded-value.ts';
import type { AnyCoding } from './content-coding.ts';
import { envelopeHead, envelopeTail, type PageOf, readHeaders, ttlPlace } from './envelope.ts';

/**
 * The answer to a hit as text that is made once per entry, but for what changes with time: the seconds of `Cache-Status` and
 * `Date`, the milliseconds of `timestamp`.
 */
export class PreparedAnswer {
  readonly etag: string;
  readonly #held: HeldEntry;
  readonly #page: PageOf | undefined;
  readonly #isVarying: boolean;
  readonly #plain: Form;
  #coded: Partial<Record<ContentCoding, Form>> | undefined;
  #notModified: Partial<Record<AnyCoding, Head>> | undefined;

  /** `isVarying`: whether `Accept-Encoding` counts. */
  constructor(held: HeldEntry, page: PageOf | undefined, isVarying: boolean) {
    this.#held = held;
    this.#page = page;
    this.#isVarying = isVarying;
    this.etag = readMeta(held.meta).etag;
    this.#plain = toForm(held, page, undefined);
  }

  /** `coded` is the value in a content coding, or nothing to send it as it is. */
  send(response: ServerResponse, frame: Frame, ttlMs: number, coded: CodedValue | undefined): void {
    const form = coded === undefined ? this.#plain : this.#codedForm(coded);
    const now = Date.now();
    const seconds = Math.floor(ttlMs / 1000);
    const isShared = last.form === form && last.frame === frame && last.seconds === seconds && last.sentAt === now;
    if (isShared && last.text !== undefined) return endWith(response, last.text);
    const lines = this.#isVarying ? frame.varying : frame.plain;
    const head = `${lines.ok}${headAt(form, seconds, now)}${frame.ending}${form.begin}`;
    const end = envelopeTail('cache', isoTime(now));
    const tail = coded === undefined ? end : codedTail(coded, end);
    if (form.chunks.length === 0) {
      last = { form, frame, seconds, sentAt: now, text: head + tail };
      return endWith(response, head + tail);
    }
    if (isShared && form.length <= mostJoinedBytes) {
      last.joined ??= Buffer.concat([Buffer.from(head, 'latin1'), ...form.chunks, Buffer.from(tail, 'latin1')]);
      return endWithBytes(response, last.joined);
    }
    last = { form, frame, seconds, sentAt: now };
    return sendParts(response, head, form.chunks, tail);
  }

  /** `coding`: in which the client has it. */
  sendNotModified(response: ServerResponse, frame: Frame, ttlMs: number, coding: AnyCoding): void {
    const now = Date.now();
    const seconds = Math.floor(ttlMs / 1000);
    response.statusCode = 304;
    this.#notModified ??= {};
    const head = (this.#notModified[coding] ??= toHead(readHeaders(this.#held, this.#page, { status: 304, coding })));
    const isShared = last304.head === head && last304.frame === frame && last304.seconds === seconds;
    if (!isShared || last304.sentAt !== now) {
      const lines = this.#isVarying ? frame.varying : frame.plain;
      const text = `${lines.notModified}${headAt(head, seconds, now)}${frame.ending}`;
      last304 = { head, frame, seconds, sentAt: now, text };
    }
    endWith(response, last304.text);
  }

  #codedForm(coded: CodedValue): Form {
    this.#coded ??= {};
    return (this.#coded[coded.coding] ??= toForm(this.#held, this.#page, coded));
  }
}

/** The value as it is sent: plain, or in a content coding. */
interface Form extends Head {
  /** What comes behind the headers; of something small all but the end, one byte a character. */
  readonly begin: string;
  /** Of something large: to copy its text costs more than another buffer in the write. */
  readonly chunks: readonly Buffer[];
  /** Of the chunks together. */
  readonly length: number;
}

function toForm(held: HeldEntry, page: PageOf | undefined, coded: CodedValue | undefined): Form {
  const { before, after } = toHead(readHeaders(held, page, { status: 200, coded }));
  const begin = coded === undefined ? envelopeHead : '';
  const value = coded?.bytes ?? held.value;
  const { length } = value;
  if (length > mostPreparedBytes) return { before, after, begin, chunks: chunksOf(value), length };
  return { before, after, begin: begin + toBuffer(value).toString('latin1'), chunks: none, length };
}

const none: readonly Buffer[] = [];

function sendParts(response: ServerResponse, head: string, chunks: readonly Buffer[], tail: string): void {
  response.cork();
  setHead(response, head);
  for (const chunk of chunks) response.write(chunk);
  response.end(tail, 'latin1');
  response.uncork();
}

/** What was sent last: those who share a validation get the same, which is made flat by its first write. */
interface LastSent {
  readonly form?: Form;
  readonly frame?: Frame;
  readonly seconds: number;
  readonly sentAt: number;
  readonly text?: string;
  /** Made when a second one asks: to copy a value costs more than a write of three parts, but not than several of them. */
  joined?: Buffer;
}

/** The same for what is not modified. */
interface LastNotModified {
  readonly head?: Head;
  readonly frame?: Frame;
  readonly seconds: number;
  readonly sentAt: number;
  readonly text: string;
}

let last: LastSent = { seconds: 0, sentAt: 0 };
let last304: LastNotModified = { seconds: 0, sentAt: 0, text: '' };

const mostJoinedBytes = 256 * 1024;

interface Head {
  readonly before: string;
  readonly after: string;
}

function toHead(headers: readonly string[]): Head {
  const [before = '', after = ''] = toLines(headers).split(ttlPlace);
  return { before, after: `${after}Date: ` };
}

function headAt({ before, after }: Head, seconds: number, now: number): string {
  return `${before}${seconds}${after}${httpDate(now)}`;
}

/** The same for bytes: the head counts as sent already. */
function endWithBytes(response: ServerResponse & { _headerSent?: boolean }, bytes: Buffer): void {
  setHead(response, ' ');
  response._headerSent = true;
  response.end(bytes);
}
