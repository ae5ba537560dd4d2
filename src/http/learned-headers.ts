/**
 * What the hooks of the application (CORS, security) set for a read, by its origin. It is **learned**, for each origin that is
 * configured and for requests without one, from the first answer that went the whole way: those who answer without hooks send
 * the same. So a hook must set nothing that depends on more than the origin; what a limit of rates tells is left out.
 */
export class LearnedHeaders {
  readonly #origins: ReadonlySet<string | undefined>;
  readonly #learned = new Map<string | undefined, readonly string[]>();

  constructor(origins: readonly string[]) {
    this.#origins = new Set([undefined, ...origins]);
  }

  /** `headers` are names and values in turn. */
  learn(origin: string | undefined, headers: readonly string[]): void {
    if (!this.#origins.has(origin) || this.#learned.has(origin)) return;
    const isKept = (at: number): boolean => headers[at - (at % 2)]?.startsWith('ratelimit') === false;
    this.#learned.set(
      origin,
      headers.filter((_, at) => isKept(at)),
    );
  }

  /** `undefined` until they are known, and for an origin that is not configured. */
  of(origin: string | undefined): readonly string[] | undefined {
    return this.#learned.get(origin);
  }
}
