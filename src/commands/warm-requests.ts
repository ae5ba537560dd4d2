import { setTimeout } from 'node:timers/promises';
import { describeError } from '../errors.ts';
import { failure } from './verb.ts';

/** What became of the requests of a run. */
export interface Tally {
  requests: number;
  /** Loaded by this request, and stored. */
  filled: number;
  /** There already. */
  present: number;
  /** No such row, which is cached as well. */
  absent: number;
  /** Not stored: refused, or still failing after all attempts. */
  failed: number;
  /** Why, for the first of them. */
  firstFailure: string | undefined;
}

export function newTally(): Tally {
  return { requests: 0, filled: 0, present: 0, absent: 0, failed: 0, firstFailure: undefined };
}

/** Asks a running instance, never faster than so many times a second. */
export class WarmRequests {
  readonly #url: string;
  readonly #pauseMs: number;
  readonly #tally: Tally;
  #nextAt = 0;

  constructor(url: string, ratePerSecond: number, tally: Tally) {
    this.#url = url;
    this.#pauseMs = 1_000 / ratePerSecond;
    this.#tally = tally;
  }

  /** Rejects with `COMMAND_FAILED` when nobody answers, or the instance says that it is not well. */
  async requireInstance(): Promise<void> {
    let status: number;
    try {
      const response = await fetch(`${this.#url}/cache/health`, { signal: AbortSignal.timeout(healthTimeoutMs) });
      await response.arrayBuffer();
      ({ status } = response);
    } catch (error) {
      throw failure(`no instance answers at ${this.#url}: ${reasonOf(error)}`, error);
    }
    if (status !== 200) throw failure(`the instance at ${this.#url} is not well: GET /cache/health answers ${status}`);
  }

  /** All of them, some at a time. */
  async askAll(paths: readonly string[], isStopped: () => boolean, report: () => void): Promise<void> {
    const waiting = [...paths];
    const work = async (): Promise<void> => {
      for (let path = waiting.shift(); path !== undefined && !isStopped(); path = waiting.shift()) {
        await this.#count(path);
        report();
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  }

  /** The ids of the rows of a page, and the cursor of the next one. */
  async readPage(path: string): Promise<{ ids: string[]; after: string | undefined }> {
    const response = await this.#ask(path);
    if (response.status !== 200) throw failure(`GET ${path} answers ${response.status}`);
    // Ids beyond 2^53 are strings of digits.
    const body: unknown = await response.json();
    const rows: unknown = Object(body).data;
    const ids = Array.isArray(rows) ? rows.map((row: unknown) => String(Object(row).id)) : [];
    const after = /[?&]after=([\w-]+)[^>]*>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    return { ids, after };
  }

  async #count(path: string): Promise<void> {
    const tally = this.#tally;
    try {
      const response = await this.#ask(path);
      // A list may be of any length: it is let pass, not kept.
      for await (const _ of response.body ?? []);
      const status = response.headers.get('cache-status') ?? '';
      if (response.status === 404 && !status.includes('detail=')) tally.absent += 1;
      else if (response.status === 200 && /; hit\b/.test(status)) tally.present += 1;
      else if (response.status === 200 && /fwd=uri-miss/.test(status)) tally.filled += 1;
      else this.#fail(`GET ${path} answers ${response.status} (${status})`);
    } catch (error) {
      this.#fail(`GET ${path}: ${reasonOf(error)}`);
    }
  }

  #fail(reason: string): void {
    this.#tally.failed += 1;
    this.#tally.firstFailure ??= reason;
  }

  /** 503 is tried again when the instance says so, a few times. */
  async #ask(path: string): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      await this.#turn();
      this.#tally.requests += 1;
      const response = await fetch(this.#url + path, { signal: AbortSignal.timeout(requestTimeoutMs) });
      if (response.status !== 503 || attempt === mostAttempts) return response;
      await response.arrayBuffer();
      await setTimeout(Math.min(mostPauseS, Number(response.headers.get('retry-after') ?? 1)) * 1_000);
    }
  }

  /** Turns are given out in advance, at equal distances. */
  async #turn(): Promise<void> {
    const now = performance.now();
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + this.#pauseMs;
    if (at > now) await setTimeout(at - now);
  }
}

const atOnce = 8;
const mostAttempts = 5;
const mostPauseS = 5;
const healthTimeoutMs = 5_000;
const requestTimeoutMs = 120_000;

/** fetch hides the reason behind its own. */
function reasonOf(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  return describeError(cause ?? error);
}
