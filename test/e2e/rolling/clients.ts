import { Agent, request } from 'node:http';
import { io, type Socket } from 'socket.io-client';

/** What a client of the API was answered. */
export type Answer = { readonly status: number; readonly body: ReturnType<typeof JSON.parse> };

/** Asks over connections that are kept alive, and tries nothing again: what goes wrong is for the test to know. */
export class KeepAliveClient {
  readonly #url: string;
  readonly #agent: Agent;

  constructor(url: string, connections: number) {
    this.#url = url;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  ask(method: string, path: string, body?: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': text.length };
      const asked = request(this.#url + path, { method, agent: this.#agent, headers }, (response) => {
        let received = '';
        response.setEncoding('utf8').on('data', (part: string) => (received += part));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(received) }));
      });
      asked.on('error', reject);
      asked.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Follows live events with its position, as `docs/events.md` says. */
export class Follower {
  readonly #socket: Socket;
  /** What was said of each post, in the order in which it was heard. */
  readonly heard: { readonly offset: number; readonly title: string }[] = [];
  readonly sessions: { readonly recovered: boolean; readonly isFirst: boolean }[] = [];
  #position: { epoch: string | null; offset: number } = { epoch: null, offset: 0 };

  constructor(url: string) {
    this.#socket = io(url, {
      forceNew: true,
      // A session by polling is many connections, which a front must lead to one instance.
      transports: ['websocket'],
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      auth: (answer) => answer(this.#position),
    });
    this.#socket.on('energex:session', ({ epoch, offset, recovered }) => {
      this.sessions.push({ recovered, isFirst: this.#position.epoch === null });
      if (recovered !== true) this.#position = { epoch, offset };
    });
    this.#socket.onAny((event: string, data: unknown, place: unknown) => {
      if (event.startsWith('energex:')) return;
      const { epoch, offset } = Object(place);
      this.#position = { epoch, offset };
      this.heard.push({ offset, title: String(Object(data).title) });
    });
  }

  close(): void {
    this.#socket.close();
  }
}
