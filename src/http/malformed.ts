import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CatalogueError } from '../errors.ts';
import { problemType, statusOf, toProblem } from './problem.ts';

/**
 * What is no HTTP never becomes a request; it is answered on the bare socket. Who has never sent anything is not answered: of
 * those there may be thousands at a time.
 */
export function refuseMalformed(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) {
    socket.destroy();
    return;
  }
  answerInTurn(socket, refusals[parserErrors[error.code ?? ''] ?? 'BAD_REQUEST']);
}

/**
 * Behind the answers to requests that came before on the same connection: sent at once, it would be taken for one of theirs. Node
 * keeps the answer whose turn it is in a member that it does not document.
 */
function answerInTurn(socket: Socket & { _httpMessage?: ServerResponse | null }, text: string): void {
  const { _httpMessage: current } = socket;
  if (current === null || current === undefined) socket.end(text);
  // By then it is the turn of the next.
  else if (current.req.complete) current.once('finish', () => answerInTurn(socket, text));
  // It is the rest of this very request that is wrong. What is said already cannot be taken back.
  else if (current.headersSent) socket.destroy();
  else socket.end(text);
}

type ParserError = 'HEADERS_TOO_LARGE' | 'REQUEST_TIMEOUT' | 'BAD_REQUEST';

const parserErrors: Readonly<Record<string, ParserError>> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
};

const refusals: Readonly<Record<ParserError, string>> = {
  HEADERS_TOO_LARGE: bareAnswer('HEADERS_TOO_LARGE'),
  REQUEST_TIMEOUT: bareAnswer('REQUEST_TIMEOUT'),
  BAD_REQUEST: bareAnswer('BAD_REQUEST'),
};

function bareAnswer(code: ParserError): string {
  const body = JSON.stringify(toProblem(new CatalogueError(code)));
  const status = statusOf(code);
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${problemType}\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n` +
    `X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n${body}`
  );
}
