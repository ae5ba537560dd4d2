import { type ServerResponse, STATUS_CODES } from 'node:http';
import { withVary } from './envelope.ts';

/**
 * Answers as text. The head is handed to `node:http` as it is kept: in `_header`, where `writeHead` would leave the text that it
 * makes of names and values. This is the one place that leans on a member which Node does not document; it has been there since
 * Node's first years. Making that text of twenty headers anew costs about a fifth of a small answer. Connections, their order,
 * keep-alive and time-outs stay with `node:http`. A test compares the bytes with those of `writeHead`.
 */
/** The whole answer goes out as its head. */
export function endWith(response: ServerResponse, text: string): void {
  setHead(response, text);
  response.end();
}

export function setHead(response: ServerResponse & { _header?: string | null }, text: string): void {
  response._header = text;
}

/** What is the same in all answers to one origin. */
export interface Frame {
  readonly plain: FrameLines;
  /** Of answers that depend on `Accept-Encoding`. */
  readonly varying: FrameLines;
  /** The headers of the connection, and the empty line. */
  readonly ending: string;
}

/** Status line and the headers that hooks have set. */
interface FrameLines {
  readonly ok: string;
  readonly notModified: string;
}

/** `hookHeaders` are names and values in turn; `keepAliveMs` is what the server has. */
export function toFrame(hookHeaders: readonly string[], keepAliveMs: number): Frame {
  return {
    plain: toFrameLines(hookHeaders),
    varying: toFrameLines(withVary(hookHeaders)),
    ending: `\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`,
  };
}

function toFrameLines(hookHeaders: readonly string[]): FrameLines {
  const hooks = toLines(hookHeaders);
  return {
    ok: `HTTP/1.1 200 ${STATUS_CODES[200]}\r\n${hooks}`,
    notModified: `HTTP/1.1 304 ${STATUS_CODES[304]}\r\n${hooks}`,
  };
}

/** Of names and values in turn. */
export function toLines(headers: readonly string[]): string {
  let text = '';
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return text;
}

let dateSecond = 0;
let date = '';

/** As of RFC 9110, section 5.6.7. */
export function httpDate(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = new Date(now).toUTCString();
  }
  return date;
}

let isoAt = 0;
let iso = '';

/** As `Date.toISOString`. */
export function isoTime(now: number): string {
  if (now !== isoAt) {
    isoAt = now;
    iso = new Date(now).toISOString();
  }
  return iso;
}
