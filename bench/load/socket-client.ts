import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * A keep-alive connection that asks one thing at a time, as little as HTTP/1.1 needs: the answers of a benchmark are known
 * to have a `Content-Length` (or no body), so there is nothing more to parse.
 */
export class SocketClient {
  readonly #socket: Socket;
  #answered: ((status: number) => void) | undefined;
  #head: Buffer = Buffer.alloc(0);
  #missing = 0;
  #status = 0;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket.on('error', (error) => {
      throw error;
    });
  }

  /** Resolves once it is connected. */
  async connected(): Promise<this> {
    if (this.#socket.connecting) await once(this.#socket, 'connect');
    return this;
  }

  /** Resolves, by a callback that costs nothing, with the status. */
  ask(request: string | Buffer, answered: (status: number) => void): void {
    this.#answered = answered;
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#missing > 0) {
      this.#missing -= chunk.length;
    } else {
      const all = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
      const end = all.indexOf('\r\n\r\n');
      if (end === -1) {
        this.#head = all;
        return;
      }
      this.#head = Buffer.alloc(0);
      const head = all.toString('latin1', 0, end);
      this.#status = Number(head.slice(9, 12));
      const length = this.#status === 304 ? 0 : Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      this.#missing = length - (all.length - end - 4);
    }
    if (this.#missing <= 0) this.#answered?.(this.#status);
  }
}

export function getRequest(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`;
}
