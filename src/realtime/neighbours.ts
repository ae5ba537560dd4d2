import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';

/**
 * Processes on one port (`operations/workers.ts`): any of them gets a request, but a session of Socket.IO is on one. So the
 * id of a session begins with the number of its process, and what comes to another one is handed over, by a socket in a
 * folder that only their user can enter.
 */
export class Neighbours {
  readonly #folder: string;
  readonly #own: string;
  readonly #server: Server;

  /** `own` is the number of this process; what is handed over to it goes to `http`. */
  constructor(folder: string, own: string, http: Server) {
    this.#folder = folder;
    this.#own = own;
    this.#server = createServer((received, response) => http.emit('request', received, response));
    this.#server.on('upgrade', (received, socket, head) => http.emit('upgrade', received, socket, head));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#pathOf(this.#own), resolve);
    });
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The id of a session that begins here. */
  nameSession(unique: string): string {
    return `${this.#own}.${unique}`;
  }

  /** Hands the request over if its session is another's. Returns whether it did. */
  handOver(received: IncomingMessage, response: ServerResponse): boolean {
    const owner = /[?&]sid=(\d+)\./.exec(received.url ?? '')?.[1];
    if (owner === undefined || owner === this.#own) return false;
    if (received.headers.upgrade === undefined) this.#handOverRequest(owner, received, response);
    else this.#handOverConnection(owner, received);
    return true;
  }

  #handOverRequest(owner: string, received: IncomingMessage, response: ServerResponse): void {
    const { url, method } = received;
    // A connection of its own: one that is kept may be closed by the other side at the very moment it is used again.
    const headers = { ...received.headers, connection: 'close' };
    const handed = request({ socketPath: this.#pathOf(owner), path: url, method, headers, agent: false }, (answer) => {
      // What is said of that connection is not for the client (RFC 9110, section 7.6.1).
      const { connection: _connection, 'keep-alive': _keepAlive, ...told } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, told);
      pipeline(answer, response, ended);
    });
    handed.on('error', () => refuse(response));
    pipeline(received, handed, ended);
  }

  #handOverConnection(owner: string, received: IncomingMessage): void {
    const socket: Duplex = received.socket;
    const { method, url, httpVersion, rawHeaders } = received;
    const other = connect(this.#pathOf(owner), () => {
      const lines = [`${method} ${url} HTTP/${httpVersion}`];
      for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
      other.write(`${lines.join('\r\n')}\r\n\r\n`);
      pipeline(socket, other, socket, ended);
    });
    other.on('error', () => socket.destroy());
  }

  #pathOf(number: string): string {
    return join(this.#folder, `${number}.sock`);
  }
}

/** As engine.io answers for a session that is not there: the client then begins another one. */
function refuse(response: ServerResponse): void {
  if (!response.headersSent) response.writeHead(400, { 'content-type': 'application/json' });
  response.end('{"code":1,"message":"Session ID unknown"}');
}

/** Either side may go away at any time. */
function ended(): void {
  // Both are closed by then.
}
