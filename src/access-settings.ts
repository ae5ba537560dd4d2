import type { Settings } from './options.ts';

/** What settings must hold that keep strangers out. */

const leastSecretLength = 32;

/** Secrets that can be guessed at over the network. Those of Redis and the database are for these to judge. */
export function problemsOfSecrets(settings: Settings): string[] {
  const { NODE_ENV: mode, ...secrets } = settings;
  const problems: string[] = [];
  for (const name of ['REALTIME_API_SECRET', 'JWT_SECRET', 'OPERATOR_SECRET', 'METRICS_TOKEN'] as const) {
    const previous = `${name}_PREVIOUS` as const;
    for (const each of [name, previous]) {
      const length = secrets[each]?.length ?? leastSecretLength;
      if (mode === 'production' && length < leastSecretLength) {
        problems.push(`${each} must have ${leastSecretLength} characters or more, and NODE_ENV is production`);
      }
    }
    if (secrets[previous] !== undefined && secrets[name] === undefined) problems.push(`${previous} needs ${name}`);
  }
  return problems;
}

/** What is wrong with how tokens are to be checked. */
export function problemsOfTokens(settings: Settings): string[] {
  const { JWT_SECRET: secret, JWT_JWKS_URL: keySet, NODE_ENV: mode, ALLOW_OPEN_WRITES: isAllowed } = settings;
  if (secret !== undefined && keySet !== undefined) return ['JWT_SECRET excludes JWT_JWKS_URL: set one of them'];
  if (keySet?.protocol === 'http:' && !isLoopback(keySet.hostname)) {
    return [
      'JWT_JWKS_URL must begin with https:// unless it is on this machine: who is on the way could give other keys',
    ];
  }
  if (keySet !== undefined && keySet.username + keySet.password !== '') {
    return ['JWT_JWKS_URL must have neither user nor password: public keys need none'];
  }
  if (secret === undefined && keySet === undefined && mode === 'production' && isAllowed === 'false') {
    return [
      'JWT_SECRET (or JWT_JWKS_URL) is missing and NODE_ENV is production: ALLOW_OPEN_WRITES=true lets everybody write',
    ];
  }
  return [];
}

/** A name or an address, as in a URL, that leads to this machine. */
export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '[::1]' ||
    host === '::1' ||
    /^127(?:\.\d+){3}$/.test(host)
  );
}
