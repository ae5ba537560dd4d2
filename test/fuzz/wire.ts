import { connect, type Socket } from 'node:net';
import { LOOPBACK } from '../harness/free-port.ts';

/** What a server says to bytes, until it closes the connection or has been silent for a while. */
export interface Said {
  readonly text: string;
  /** The connection ended, in whichever way. */
  readonly closed: boolean;
}

export interface Sending {
  /** Sent one after the other, in turns of the event loop of their own. */
  readonly parts: readonly Buffer[];
  /** `keep` waits for `quietMs` of silence; the others end or reset the connection behind the last part. */
  readonly end: 'keep' | 'half-close' | 'reset';
}

const longestMs = 15_000;

/** Rejects when there is neither an end nor silence: a server that hangs. */
export async function say(port: number, { parts, end }: Sending, quietMs = 100): Promise<Said> {
  const socket = connect({ host: LOOPBACK, port, noDelay: true });
  const chunks: Buffer[] = [];
  let heardAt = performance.now();
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    heardAt = performance.now();
  });
  socket.on('error', () => undefined);
  const closed = new Promise<true>((resolve) => socket.on('close', () => resolve(true)));
  await new Promise<void>((resolve) => socket.on('connect', () => resolve()).on('close', () => resolve()));
  for (const part of parts) {
    if (!socket.writable) break;
    socket.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const began = performance.now();
  heardAt = began;
  if (end === 'half-close') socket.end();
  if (end === 'reset') socket.resetAndDestroy();
  const isClosed = await Promise.race([closed, silence(socket, () => heardAt, quietMs, began)]);
  socket.destroy();
  return { text: Buffer.concat(chunks).toString('latin1'), closed: isClosed };
}

async function silence(socket: Socket, heardAt: () => number, quietMs: number, began: number): Promise<false> {
  while (!socket.destroyed && performance.now() - heardAt() < quietMs) {
    if (performance.now() - began > longestMs) throw new Error(`no end within ${longestMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

/** Statuses of the answers that stand in `text`, one behind the other; whatever else there is, is wrong. */
export function splitReplies(text: string, methods: readonly string[]): Reply[] {
  const replies: Reply[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    const head = rest.slice(0, end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    if (end === -1 || Number.isNaN(status)) throw new Error(`no answer: ${JSON.stringify(rest.slice(0, 200))}`);
    if (status === 100) {
      rest = rest.slice(end + 4);
      continue;
    }
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    // What never became a request is told why, whatever it began with.
    const isBare = /^connection: close/im.test(head) && rest.slice(end + 4).startsWith('{"type":"urn:energex:error:');
    const hasBody = isBare || (methods[replies.length] !== 'HEAD' && status !== 304 && status !== 204);
    const body = hasBody ? rest.slice(end + 4, end + 4 + length) : '';
    if (hasBody && body.length < length) throw new Error(`an answer broke off: ${body.length} of ${length} bytes`);
    replies.push({ status, head, body });
    rest = rest.slice(end + 4 + body.length);
  }
  return replies;
}

export interface Reply {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}
