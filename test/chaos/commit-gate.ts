import { connect, createServer, type Socket } from 'node:net';
import { LOOPBACK } from '../harness/free-port.ts';
import type { ProxyTarget } from '../harness/tcp-proxy.ts';

/**
 * A way to a MySQL server that knows a COMMIT when it sees one, and can hold it: so that what happens between fence and
 * COMMIT, or between COMMIT and release, happens there and nowhere else. What is held outlives the client that sent it.
 */
export type CommitGate = ProxyTarget & {
  /** Holds the next COMMIT of a transaction that has `text` in it, or the answer to it; resolves when there is one. */
  hold(what: 'request' | 'answer', text: string): Promise<HeldCommit>;
  /** Nothing more is held; whoever waits for a COMMIT is told that none came. */
  letGo(): void;
  /** Ends everything. Idempotent. */
  close(): Promise<void>;
};

export type HeldCommit = {
  /** Goes where it was to go. For a request: resolves when the server has answered it, or is gone. */
  deliver(): Promise<void>;
  /** Is never seen again, and its connection ends. */
  drop(): void;
};

type Order = {
  readonly what: 'request' | 'answer';
  readonly text: string;
  take(held: HeldCommit): void;
  miss(error: Error): void;
};

/** The order for a transaction of which the client has sent this so far. */
type TakeOrder = (transaction: string) => Order | undefined;

export async function startCommitGate(target: ProxyTarget): Promise<CommitGate> {
  const sessions = new Set<Session>();
  let order: Order | undefined;
  const takeOrder: TakeOrder = (transaction) => {
    if (order === undefined || !transaction.includes(order.text)) return undefined;
    const taken = order;
    order = undefined;
    return taken;
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const session = new Session(client, connect({ ...target, allowHalfOpen: true }), takeOrder);
    sessions.add(session);
    session.over.then(() => sessions.delete(session)).catch(() => undefined);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, LOOPBACK, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  const letGo = (): void => {
    order?.miss(new Error('no COMMIT came'));
    order = undefined;
  };
  let closed: Promise<void> | undefined;
  return {
    host: LOOPBACK,
    port: address.port,
    hold: (what, text) =>
      new Promise((take, miss) => {
        order = { what, text, take, miss };
      }),
    letGo,
    close() {
      closed ??= new Promise((resolve) => {
        letGo();
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      });
      return closed;
    },
  };
}

/** One connection of a client. While something is held, what comes after it in the same direction waits behind it. */
class Session {
  readonly over: Promise<void>;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #takeOrder: TakeOrder;
  /** Of the packet that has not arrived as a whole yet. */
  #partial: Buffer = Buffer.alloc(0);
  #heldRequests: Buffer[] | undefined;
  #heldAnswers: Buffer[] | undefined;
  /** Whoever gets the answer to the COMMIT that was let through. */
  #answerOrder: Order | undefined;
  #clientEnded = false;
  /** What the client has sent since the transaction began. */
  #transaction = '';

  constructor(client: Socket, server: Socket, takeOrder: TakeOrder) {
    this.#client = client;
    this.#server = server;
    this.#takeOrder = takeOrder;
    for (const socket of [client, server]) socket.setNoDelay(true);
    client.on('data', (bytes) => this.#fromClient(asBuffer(bytes)));
    server.on('data', (bytes) => this.#fromServer(asBuffer(bytes)));
    client.on('end', () => this.#clientLeft());
    client.on('error', () => this.#clientLeft());
    server.on('end', () => this.#client.end());
    server.on('error', () => this.destroy());
    client.on('drain', () => server.resume());
    server.on('drain', () => client.resume());
    const closed = [client, server].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    this.over = Promise.all(closed).then(() => undefined);
  }

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #fromClient(bytes: Buffer): void {
    this.#partial = Buffer.concat([this.#partial, bytes]);
    for (let packet = this.#nextPacket(); packet !== undefined; packet = this.#nextPacket()) this.#request(packet);
  }

  /** A packet has three bytes of length (little-endian) and one of sequence before its payload. */
  #nextPacket(): Buffer | undefined {
    if (this.#partial.length < headerBytes) return undefined;
    const length = headerBytes + this.#partial.readUIntLE(0, 3);
    if (this.#partial.length < length) return undefined;
    const packet = this.#partial.subarray(0, length);
    this.#partial = this.#partial.subarray(length);
    return packet;
  }

  #request(packet: Buffer): void {
    if (this.#heldRequests !== undefined) {
      this.#heldRequests.push(packet);
      return;
    }
    if (isQuery(packet, 'START TRANSACTION')) this.#transaction = '';
    if (this.#transaction.length < mostRemembered) this.#transaction += packet.toString('latin1');
    const order = isQuery(packet, 'COMMIT') ? this.#takeOrder(this.#transaction) : undefined;
    if (order?.what === 'request') {
      this.#heldRequests = [packet];
      order.take({ deliver: () => this.#deliverRequest(), drop: () => this.destroy() });
      return;
    }
    this.#answerOrder ??= order;
    if (!this.#server.write(packet)) this.#client.pause();
  }

  #fromServer(bytes: Buffer): void {
    const order = this.#answerOrder;
    if (order !== undefined) {
      this.#answerOrder = undefined;
      this.#heldAnswers = [];
      order.take({ deliver: () => this.#deliverAnswer(), drop: () => this.destroy() });
    }
    if (this.#heldAnswers !== undefined) this.#heldAnswers.push(bytes);
    else if (this.#client.writable && !this.#client.write(bytes)) this.#server.pause();
  }

  async #deliverRequest(): Promise<void> {
    const held = this.#heldRequests ?? [];
    this.#heldRequests = undefined;
    const answered = new Promise<void>((resolve) => {
      for (const event of ['data', 'end', 'close'] as const) this.#server.once(event, () => resolve());
    });
    for (const packet of held) this.#server.write(packet);
    await answered;
    if (this.#clientEnded) this.#server.end();
  }

  async #deliverAnswer(): Promise<void> {
    const held = this.#heldAnswers ?? [];
    this.#heldAnswers = undefined;
    for (const bytes of held) if (this.#client.writable) this.#client.write(bytes);
    if (this.#clientEnded) this.#server.end();
  }

  #clientLeft(): void {
    this.#clientEnded = true;
    if (this.#heldRequests === undefined && this.#heldAnswers === undefined && this.#answerOrder === undefined) {
      this.#server.end();
    }
  }
}

const headerBytes = 4;
/** COM_QUERY of the client/server protocol. */
const query = 3;

const mostRemembered = 64 * 1024;

/** Behind the command there may be attributes of the query, before its text. */
function isQuery(packet: Buffer, text: string): boolean {
  return packet[headerBytes] === query && packet.toString('latin1').endsWith(text);
}

function asBuffer(bytes: Buffer | string): Buffer {
  return typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
}
