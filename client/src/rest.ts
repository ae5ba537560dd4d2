import { CacheProblem, problemOf, toProblem } from './problem.ts';
import type { Timing } from './timing.ts';

/**
 * Reads by REST. The last answers are kept with their entity tags, so that a read of what has not changed costs a 304.
 *
 * Equal reads that are asked for in the same turn of the event loop share one request, which is sent after that turn.
 * A later one never joins: the request may have been answered, on the service's side, before something that was heard
 * since, and then its answer is too old for who asks now.
 */
export class Rest {
  readonly #options: RestOptions;
  readonly #ending = new AbortController();
  /** Asked for in this turn, and not sent yet. */
  readonly #gathering = new Map<string, Promise<Answer>>();
  /** Oldest use first. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  /** Rejects with `CacheProblem`. */
  read(path: string): Promise<Answer> {
    const gathering = this.#gathering.get(path);
    if (gathering !== undefined) return gathering;
    const reading = Promise.resolve().then(() => {
      this.#gathering.delete(path);
      return this.#send(path);
    });
    this.#gathering.set(path, reading);
    return reading;
  }

  /** Ends what is under way. */
  close(): void {
    this.#ending.abort();
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  /** Sends a write, once. Resolves with the body of the answer, rejects with `CacheProblem`. */
  async write(method: 'POST' | 'PUT' | 'DELETE', path: string, body: object, headers: Headings): Promise<unknown> {
    return this.#ask(path, async (signal) => {
      const response = await this.#options.fetch(this.#options.url + path, {
        method,
        headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
        signal,
      });
      return readJson(await refuseProblem(response));
    });
  }

  #send(path: string): Promise<Answer> {
    const kept = this.#kept.get(path);
    return this.#ask(path, async (signal) => {
      const response = await this.#options.fetch(this.#options.url + path, {
        // This is the cache: a second one below it would only answer the 304 with what is held here anyway.
        cache: 'no-store',
        headers: { accept: 'application/json', ...(kept === undefined ? {} : { 'if-none-match': kept.etag }) },
        signal,
      });
      if (response.status === 304 && kept !== undefined) return this.#use(path, kept);
      const { headers } = await refuseProblem(response);
      return this.#take(path, headers, await response.text());
    });
  }

  async #ask<T>(path: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#ending.signal.aborted) throw new CacheProblem(0, 'CLOSED', 'the client was closed');
    const late = new AbortController();
    const stopWaiting = this.#options.timing.after(timeoutMs, () => late.abort());
    try {
      return await ask(AbortSignal.any([this.#ending.signal, late.signal]));
    } catch (cause) {
      if (cause instanceof CacheProblem) throw cause;
      if (this.#ending.signal.aborted) throw new CacheProblem(0, 'CLOSED', 'the client was closed', { cause });
      if (cause instanceof SyntaxError) throw toProblem(cause);
      throw new CacheProblem(0, 'UNREACHABLE', `the service did not answer ${path}`, { cause });
    } finally {
      stopWaiting();
    }
  }

  #take(path: string, headers: Headers, text: string): Answer {
    const body: unknown = JSON.parse(text);
    const { data }: { data?: unknown } = Object(body);
    const answer = { data, hasMore: /rel="?next/.test(headers.get('link') ?? '') };
    this.#forget(path);
    const etag = headers.get('etag');
    // In memory: the text's characters, as a measure of what was parsed of it.
    if (etag !== null) this.#keep(path, { ...answer, etag, bytes: text.length * 2 });
    return answer;
  }

  #use(path: string, kept: Kept): Answer {
    this.#forget(path);
    this.#keep(path, kept);
    return kept;
  }

  #keep(path: string, kept: Kept): void {
    if (this.#ending.signal.aborted) return;
    this.#kept.set(path, kept);
    this.#keptBytes += kept.bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#options.mostEntries && this.#keptBytes <= this.#options.mostBytes) break;
      this.#forget(oldest);
    }
  }

  #forget(path: string): void {
    this.#keptBytes -= this.#kept.get(path)?.bytes ?? 0;
    this.#kept.delete(path);
  }
}

export interface RestOptions {
  /** Of the service, without a slash at the end. */
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly timing: Timing;
  /** How much is kept. */
  readonly mostEntries: number;
  readonly mostBytes: number;
}

export interface Answer {
  readonly data: unknown;
  /** There is a page behind this one. */
  readonly hasMore: boolean;
}

export type Headings = Readonly<Record<string, string>>;

interface Kept extends Answer {
  readonly etag: string;
  readonly bytes: number;
}

async function refuseProblem(response: Response): Promise<Response> {
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function readJson(response: Response): Promise<unknown> {
  const body: unknown = JSON.parse(await response.text());
  return body;
}

const timeoutMs = 15_000;
