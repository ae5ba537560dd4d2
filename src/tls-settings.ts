import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Settings } from './options.ts';

/** Certificates and keys in PEM; what is not there is as Node has it. */
export interface Tls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** What is used where Redis or a Sentinel is reached over TLS. */
export function redisTls(settings: Settings, problems: string[]): Tls {
  const isUsed =
    settings.REDIS_TLS === 'on' || settings.REDIS_SENTINEL_TLS === 'on' || settings.REDIS_URL?.protocol === 'rediss:';
  return readTls('REDIS', isUsed, 'REDIS_TLS=on, or rediss:// in REDIS_URL', settings, problems);
}

/** `undefined` where the database is reached without. */
export function databaseTls(settings: Settings, problems: string[]): Tls | undefined {
  const isUsed = settings.DB_TLS === 'on';
  const tls = readTls('DB', isUsed, 'DB_TLS=on', settings, problems);
  if (!isUsed) return undefined;
  const hosts = [
    settings.DATABASE_URL?.hostname ?? settings.DB_HOST,
    ...(settings.DB_REPLICAS ?? []).map(({ host }) => host),
  ];
  const address = hosts.find((host) => isIP(host?.replace(/^\[|\]$/g, '') ?? '') !== 0);
  // The driver can hold a certificate against a name only.
  if (tls.servername === undefined && address !== undefined) {
    problems.push(
      `DB_TLS_SERVERNAME must be a name that the certificate of the database has: ${address} is an address`,
    );
  }
  if (tls.servername !== undefined && isIP(tls.servername) !== 0)
    problems.push('DB_TLS_SERVERNAME must be a name, not an address');
  return tls;
}

/** A file that nobody would read is a mistake: the connection would not be what it seems. */
function readTls(prefix: 'REDIS' | 'DB', isUsed: boolean, wanted: string, settings: Settings, problems: string[]): Tls {
  const read = (what: 'CA' | 'CERT' | 'KEY'): string | undefined => {
    const name = `${prefix}_TLS_${what}_FILE` as const;
    const file = settings[name];
    if (file === undefined) return undefined;
    if (!isUsed) problems.push(`${name} needs ${wanted}`);
    const text = readIfThere(file);
    if (text === undefined) problems.push(`${name} names a file that does not exist or may not be read`);
    else if (!text.includes('-----BEGIN ')) problems.push(`${name} names a file that holds no PEM`);
    return text;
  };
  const [ca, cert, key] = [read('CA'), read('CERT'), read('KEY')];
  const [certFile, keyFile] = [`${prefix}_TLS_CERT_FILE`, `${prefix}_TLS_KEY_FILE`] as const;
  if ((settings[certFile] === undefined) !== (settings[keyFile] === undefined)) {
    problems.push(`${certFile} and ${keyFile} go together`);
  }
  return present({ ca, cert, key, servername: settings[`${prefix}_TLS_SERVERNAME`] });
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Without those that are not. */
export function present<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const there = Object.entries(members).filter(([, value]) => value !== undefined);
  // The same members with the same values.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(there) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
