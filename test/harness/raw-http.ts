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
