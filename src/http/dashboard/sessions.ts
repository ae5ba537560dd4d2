import { createHmac } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { CatalogueError } from '../../errors.ts';
import { isOneOf, type Secrets } from '../secrets.ts';

/**
 * Who may use the dashboard: everybody where there is no secret, else who has given it. A session is a signed time, so that all
 * instances know it and none has to remember it; it ends when the secret that signed it is no longer accepted.
 */
export class Sessions {
  readonly #secrets: Secrets;
  readonly #now: () => number;
  /** Wrong secrets by address. */
  readonly #failures: LRUCache<string, number>;

  /** `now` is in milliseconds since 1970. */
  constructor(secrets: Secrets, now: () => number) {
    this.#secrets = secrets;
    this.#now = now;
    this.#failures = new LRUCache({ max: mostAddresses, ttl: forgetFailuresMs, ttlResolution: 0, perf: { now } });
  }

  get loginNeeded(): boolean {
    return this.#secrets.length > 0;
  }

  /** What the browser keeps. Throws `LOGIN_FAILED`, and `TOO_MANY_LOGINS` for an address that has guessed too often. */
  open(given: string, address: string): { readonly token: string; readonly maxAgeS: number } {
    const failures = this.#failures.get(address) ?? 0;
    if (failures >= mostFailures) throw new CatalogueError('TOO_MANY_LOGINS');
    const [current] = this.#secrets;
    if (current === undefined || !isOneOf(given, this.#secrets)) {
      // Counted from the first one on: guessing on does not make the pause longer for others behind the same address.
      const ttl = failures === 0 ? forgetFailuresMs : this.#failures.getRemainingTTL(address);
      this.#failures.set(address, failures + 1, { ttl: Math.max(1, ttl) });
      throw new CatalogueError('LOGIN_FAILED');
    }
    this.#failures.delete(address);
    const expires = Math.floor(this.#now() / 1000) + sessionS;
    return { token: `${expires}.${sign(current, expires)}`, maxAgeS: sessionS };
  }

  /** Whether a request with this token may go on. */
  admits(token: string | undefined): boolean {
    if (this.#secrets.length === 0) return true;
    const [, expires = '', signature = ''] = /^(\d{1,12})\.([\w-]{43})$/.exec(token ?? '') ?? [];
    const signatures = this.#secrets.map((secret) => sign(secret, Number(expires)));
    return Number(expires) * 1000 > this.#now() && isOneOf(signature, signatures);
  }
}

const sessionS = 12 * 60 * 60;
const mostFailures = 10;
const forgetFailuresMs = 5 * 60_000;
const mostAddresses = 10_000;

function sign(secret: string, expires: number): string {
  return createHmac('sha256', secret).update(`dashboard ${expires}`).digest('base64url');
}
