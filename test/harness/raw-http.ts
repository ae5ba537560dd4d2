import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { LOOPBACK } from './free-port.ts';

/** One answer as it came over the wire. */
export type RawReply = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
};

export async function dialHttp(port: number): Promise<Socket> {
  const socket = connect({ host: LOOPBACK, port });
  await once(socket, 'connect');
  return socket;
}

/** Everything the server says until it closes the connection; a reset ends it too. */
export function untilClosed(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}

/** Sends `text` on a connection of its own, in one piece, and waits until the server closes the connection. */
export async function exchange(port: number, text: string): Promise<RawReply[]> {
  const socket = await dialHttp(port);
  const answer = untilClosed(socket);
  socket.write(text);
  return parseReplies(await answer);
}

/** Answers with `Content-Length` (or none and no body), one behind the other. */
export function parseReplies(text: string): RawReply[] {
  const replies: RawReply[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) throw new Error(`no end of the headers in ${JSON.stringify(rest)}`);
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = new Map(lines.map((line) => splitHeader(line)));
    const length = Number(headers.get('content-length') ?? 0);
    replies.push({ status: Number(first.split(' ')[1]), headers, body: rest.slice(end + 4, end + 4 + length) });
    rest = rest.slice(end + 4 + length);
  }
  return replies;
}

function splitHeader(line: string): [string, string] {
  const at = line.indexOf(':');
  return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
}

/** The answer on a connection that stays open, one byte a character: its head, and its body in whatever coding. */
export async function askRaw(port: number, request: string, headers: readonly string[]): Promise<string> {
  const socket = await dialHttp(port);
  const text = untilAnswered(socket, request.startsWith('HEAD'));
  socket.write(`${[`${request} HTTP/1.1`, 'Host: test', ...headers].join('\r\n')}\r\n\r\n`);
  const answer = await text;
  socket.destroy();
  return answer;
}

/** Up to the end that its own length says, unless it has no body. */
function untilAnswered(socket: Socket, isBare: boolean): Promise<string> {
  let text = '';
  return new Promise((resolve) => {
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\r\n\r\n');
      const length =
        isBare || text.startsWith('HTTP/1.1 304') ? 0 : Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (end !== -1 && text.length >= end + 4 + length) resolve(text);
    });
  });
}

/** With what time changes made equal: the checksum at the end of a compressed body is of that as well. */
export function timeless(answer: string): string {
  return answer
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z"\}[^]{0,8}$/, 'TIME"}')
    .replace(/(?<=Date: ).*?(?=\r)/, 'DATE')
    .replace(/(?<=ttl=)\d+/, 'TTL');
}
