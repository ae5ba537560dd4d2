import { loadConfig, readEnvironment } from '../config.ts';
import { describeError } from '../errors.ts';
import { failure } from './verb.ts';

/** What an instance has answered; `body` is parsed JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

const timeoutMs = 5_000;

/** Rejects with `COMMAND_FAILED` when no instance answers there. */
export async function askInstance(url: string, path: string, init: RequestInit): Promise<Answer> {
  try {
    const response = await fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(timeoutMs) });
    const body: unknown = await response.json();
    return { status: response.status, headers: response.headers, body };
  } catch (error) {
    const cause: unknown = error instanceof Error ? error.cause : undefined;
    throw failure(`no instance answers at ${url}: ${describeError(cause ?? error)}`, error);
  }
}

/**
 * What the dashboard of a running instance asks: it answers whoever has its `OPERATOR_SECRET`, and everybody in development while
 * that is not set.
 */
export class OperatorApi {
  readonly url: string;
  readonly #secret: string | undefined;
  #cookie: string | undefined;

  /** `secret` is that of the operators. */
  constructor(url: string, secret: string | undefined) {
    this.url = url;
    this.#secret = secret;
  }

  static ofSettings(url: string): OperatorApi {
    return new OperatorApi(url, loadConfig(readEnvironment()).settings.OPERATOR_SECRET);
  }

  /** `path` is below `/dashboard/api`; with a body it is a POST. Rejects with `COMMAND_FAILED`. */
  async ask(path: string, body?: object): Promise<unknown> {
    let answer = await this.#send(path, body);
    if (answer.status === 401) {
      await this.#logIn();
      answer = await this.#send(path, body);
    }
    return this.#bodyOf(answer);
  }

  async #logIn(): Promise<void> {
    if (this.#secret === undefined) {
      throw failure(`the instance at ${this.url} answers operators alone: set OPERATOR_SECRET to the one it has`);
    }
    const answer = await this.#send('/session', { secret: this.#secret });
    this.#bodyOf(answer);
    this.#cookie = answer.headers.get('set-cookie')?.split(';')[0];
  }

  async #send(path: string, body: object | undefined): Promise<Answer> {
    const headers = {
      ...(this.#cookie === undefined ? {} : { cookie: this.#cookie }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    return await askInstance(this.url, `/dashboard/api${path}`, { headers, ...sent });
  }

  #bodyOf({ status, body }: Answer): unknown {
    if (status === 200) return body;
    const { message = 'it is of another version, or no instance' } = Object(body);
    throw failure(`the instance at ${this.url} answers ${status}: ${String(message)}`);
  }
}
