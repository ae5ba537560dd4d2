import { createSecretKey } from 'node:crypto';
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { CatalogueError } from '../errors.ts';
import type { Settings } from '../options.ts';
import { isIdentifierValue } from '../resources/identifier.ts';
import { secretsOf } from './secrets.ts';

/**
 * Bearer tokens (RFC 6750) that are JSON Web Tokens (RFC 7519), as the backend signs them. The algorithm is the one that is
 * configured, whatever a token says of itself (RFC 8725, section 3.1): a token without a signature, or one that is signed
 * with a public key as if it were a secret, is refused before its signature is looked at.
 */
export class Tokens {
  readonly #keys: readonly JWTVerifyGetKey[];
  readonly #options: JWTVerifyOptions;

  /** A token is good if it is so with one of the keys. */
  constructor(keys: readonly JWTVerifyGetKey[], options: JWTVerifyOptions) {
    this.#keys = keys;
    this.#options = { ...options, requiredClaims: ['exp', 'sub'], clockTolerance: clockToleranceS };
  }

  /**
   * The id of the user whom an `Authorization` header names, in digits. Rejects with `CatalogueError` `TOKEN_MISSING`,
   * `TOKEN_INVALID` or `TOKEN_KEYS_UNAVAILABLE`.
   */
  async userOf(authorization: string | undefined): Promise<string> {
    const token = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) throw new CatalogueError('TOKEN_MISSING');
    const subject = await this.#subjectOf(token);
    // PHP's libraries write an id as a number or as a string.
    if (isIdentifierValue(subject)) return String(subject);
    throw invalid('its claim sub is not the id of a user');
  }

  async #subjectOf(token: string): Promise<unknown> {
    let problem: unknown;
    for (const key of this.#keys) {
      try {
        const { payload } = await jwtVerify(token, key, this.#options);
        return payload.sub;
      } catch (error) {
        if (error instanceof CatalogueError) throw error;
        problem = error;
        // Only a signature can be that of another key.
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) break;
      }
    }
    throw invalid(describe(problem), problem);
  }
}

/** `undefined` when neither `JWT_SECRET` nor `JWT_JWKS_URL` is set: writes are open then. */
export function openTokens(settings: TokenSettings, bounds: KeySetBounds = usualBounds): Tokens | undefined {
  const { JWT_JWKS_URL: keySet, JWT_JWKS_ALGORITHM: algorithm } = settings;
  const { JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = settings;
  const claims = { ...(issuer === undefined ? {} : { issuer }), ...(audience === undefined ? {} : { audience }) };
  const keys = secretsOf(settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS).map((secret) =>
    createSecretKey(Buffer.from(secret)),
  );
  if (keys.length > 0)
    return new Tokens(
      keys.map((key) => () => key),
      { ...claims, algorithms: ['HS256'] },
    );
  if (keySet === undefined) return undefined;
  return new Tokens([keysOf(keySet, bounds)], { ...claims, algorithms: [algorithm] });
}

type TokenSettings = Pick<
  Settings,
  'JWT_SECRET' | 'JWT_SECRET_PREVIOUS' | 'JWT_JWKS_URL' | 'JWT_JWKS_ALGORITHM' | 'JWT_ISSUER' | 'JWT_AUDIENCE'
>;

export interface KeySetBounds {
  /** Of one attempt to get the keys. */
  readonly timeoutMs: number;
  /** How long keys are used before they are asked for anew: so long may a key be believed that was taken back. */
  readonly freshMs: number;
  /** A token with an unknown key makes the keys be asked for anew, but not more often than this. */
  readonly restMs: number;
}

/**
 * Keys from a JSON Web Key Set (RFC 7517). They are asked for with the first token, when they are no longer fresh, and when
 * a token names a key that is not among them: so a key that was added counts at once.
 */
function keysOf(url: URL, { timeoutMs, freshMs, restMs }: KeySetBounds): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(url, {
    timeoutDuration: timeoutMs,
    cacheMaxAge: freshMs,
    cooldownDuration: restMs,
    [customFetch]: fetchBounded,
  });
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      if (isOfToken(error)) throw error;
      throw new CatalogueError('TOKEN_KEYS_UNAVAILABLE', { cause: error });
    }
  };
}

/** No key of the set is the token's; everything else that goes wrong has to do with the server of the keys. */
function isOfToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  );
}

/** As `fetch`, of an answer that has a bound. */
const fetchBounded: FetchImplementation = async (url, options) => {
  const response = await fetch(url, options);
  if (response.status !== 200 || response.body === null) return response;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    bytes += part.byteLength;
    if (bytes > mostKeyBytes) throw new RangeError(`the key set is larger than ${mostKeyBytes} bytes`);
    parts.push(part);
  }
  return new Response(Buffer.concat(parts));
};

/** No quotes in these: they stand in a header (`http/problem.ts`). */
function describe(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf' && error.reason === 'check_failed') return 'it is not valid yet';
    const verdict = error.reason === 'missing' ? 'is missing' : 'is not as it must be';
    return knownClaims.has(error.claim) ? `its claim ${error.claim} ${verdict}` : 'a claim is not as it must be';
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not the one that is accepted';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is wrong';
  if (isOfToken(error)) return 'its key is not known';
  return 'it is no signed JSON Web Token';
}

const knownClaims = new Set(['exp', 'nbf', 'iat', 'iss', 'aud', 'sub']);

function invalid(reason: string, cause?: unknown): CatalogueError {
  return new CatalogueError('TOKEN_INVALID', { params: { reason }, cause });
}

const usualBounds: KeySetBounds = { timeoutMs: 3_000, freshMs: 10 * 60_000, restMs: 10_000 };
const mostKeyBytes = 256 * 1024;
/** The clocks of two machines are never the same: a token that was made a moment ago is not one of the future. */
const clockToleranceS = 5;
