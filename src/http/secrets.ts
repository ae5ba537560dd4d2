import { hash, timingSafeEqual } from 'node:crypto';

/** The secrets that open the same door: the current one first, beside it perhaps the one before. None: the door has no key. */
export type Secrets = readonly string[];

/** While a secret is exchanged, both are known by those who ask. */
export function secretsOf(current: string | undefined, previous: string | undefined): Secrets {
  return [current, previous].filter((each) => each !== undefined);
}

/** Digests have one length whatever was sent, so the time of the comparison tells nothing of the secret. */
function isSameSecret(given: string, secret: string): boolean {
  return timingSafeEqual(hash('sha256', given, 'buffer'), hash('sha256', secret, 'buffer'));
}

/** Compares with all of them, so that the time does not tell which it was. */
export function isOneOf(given: string, secrets: Secrets): boolean {
  return secrets.filter((secret) => isSameSecret(given, secret)).length > 0;
}
