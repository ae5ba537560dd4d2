import { Agent, request } from 'node:http';

/** Connections of a client to one instance, kept alive. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: mostSockets });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  /** Resolves with whatever came of it, within `timeoutMs`; rejects never. */
  send(method: string, path: string, body?: unknown, timeoutMs = longestMs): Promise<Answer> {
    return new Promise((resolve) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const sent = request({
        host: '127.0.0.1',
        port: this.#port,
        agent: this.#agent,
        method,
        path,
        headers:
          text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      });
      // Node's own `timeout` is of silence; this one is of the whole.
      const timer = setTimeout(() => sent.destroy(new Error('no answer in time')), timeoutMs);
      const settle = (answer: Answer): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      sent.on('error', (error) => settle({ kind: 'lost', neverSent: isRefusal(error), reason: error.message }));
      sent.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => settle({ kind: 'lost', neverSent: false, reason: error.message }));
        response.on('end', () => {
          const received = Buffer.concat(chunks).toString('utf8');
          settle({ kind: 'answered', status: response.statusCode ?? 0, json: parse(received) });
        });
      });
      sent.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

export type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly json: unknown }
  /** `neverSent`: the connection was refused, so that the request certainly had no effect. */
  | { readonly kind: 'lost'; readonly neverSent: boolean; readonly reason: string };

const mostSockets = 64;
const longestMs = 15_000;

function isRefusal(error: Error): boolean {
  return 'code' in error && error.code === 'ECONNREFUSED';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A member of what came as JSON. */
export function memberOf(json: unknown, name: string): unknown {
  return typeof json === 'object' && json !== null ? Reflect.get(json, name) : undefined;
}
