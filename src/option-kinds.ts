import { isIP } from 'node:net';

/** The kinds of values that settings have: how each is read from text, and what is said of one that is wrong. */

export interface Option<T> {
  readonly kind: string;
  readonly default: T;
  /** Shown in the documentation where the default is not a plain value. */
  readonly shown?: string;
  /** Never printed, and `NAME_FILE` may name a file that holds it. */
  readonly secret?: boolean;
  readonly description: string;
  readonly parse: (text: string) => T;
}

interface Described {
  readonly secret?: boolean;
  readonly description: string;
}

export function text<D extends string | undefined>(standard: D, described: Described): Option<string | D> {
  return { ...described, kind: 'text', default: standard, parse: (given) => given };
}

export function integer<D extends number | undefined = number>(
  standard: D,
  least: number,
  most: number,
  described: Described,
): Option<number | D> {
  const parse = (given: string): number => {
    const value = Number(given);
    if (!/^\d+$/.test(given) || value < least || value > most) {
      throw new RangeError(`must be a whole number from ${least} to ${most}`);
    }
    return value;
  };
  return { ...described, kind: `integer, ${least} to ${most}`, default: standard, parse };
}

export function share(standard: number, described: Described): Option<number> {
  const parse = (given: string): number => {
    const value = Number(given);
    if (!/^\d*\.?\d+$/.test(given) || value > 1) throw new RangeError('must be a number from 0 to 1');
    return value;
  };
  return { ...described, kind: 'number, 0 to 1', default: standard, parse };
}

export function choice<const C extends string>(standard: C, choices: readonly C[], described: Described): Option<C> {
  const parse = (given: string): C => {
    const chosen = choices.find((each) => each === given);
    if (chosen === undefined) throw new RangeError(`must be one of ${choices.join(', ')}`);
    return chosen;
  };
  return { ...described, kind: choices.join(' or '), default: standard, parse };
}

export function origins(standard: string, described: Described): Option<readonly string[]> {
  const parse = (given: string): readonly string[] =>
    given.split(',').map((each) => {
      const origin = each.trim();
      if (!URL.canParse(origin) || new URL(origin).origin !== origin.replace(/\/$/, '')) {
        throw new RangeError('must be a comma-separated list of origins such as https://app.example.com');
      }
      return new URL(origin).origin;
    });
  return { ...described, kind: 'list of origins', default: parse(standard), shown: standard, parse };
}

export function keyPrefix(described: Described): Option<string> {
  const parse = (given: string): string => {
    if (!/^[\w.:-]{1,64}$/.test(given))
      throw new RangeError('must be letters, digits, _, ., : and -, 64 of them at most');
    return given;
  };
  return { ...described, kind: 'prefix of keys', default: '', shown: '', parse };
}

export function serverUrl(schemes: readonly string[], described: Described): Option<URL | undefined> {
  const parse = (given: string): URL => {
    const parsed = URL.canParse(given) ? new URL(given) : undefined;
    if (parsed === undefined || !schemes.includes(parsed.protocol.slice(0, -1)) || parsed.hostname === '') {
      throw new RangeError(`must be a URL that begins with ${schemes.map((each) => `${each}://`).join(' or ')}`);
    }
    if (parsed.port === '0') throw new RangeError('must have a port from 1 to 65535');
    if (![parsed.username, parsed.password, parsed.pathname].every(isDecodable)) {
      throw new RangeError('must have every % of its user, password and path written as %25');
    }
    return parsed;
  };
  return { ...described, kind: 'URL', default: undefined, parse };
}

export function addresses(described: Described): Option<readonly Address[] | undefined> {
  const parse = (given: string): readonly Address[] => {
    const list = given.split(',').map((each) => addressIn(each.trim()));
    if (list.includes(undefined))
      throw new RangeError('must be a comma-separated list such as 10.0.0.1:26379,[::1]:26379');
    return list.filter((each) => each !== undefined);
  };
  return { ...described, kind: 'list of host:port', default: undefined, parse };
}

export function networks(described: Described): Option<readonly string[]> {
  const parse = (given: string): readonly string[] => {
    const list = given.split(',').map((each) => each.trim());
    for (const each of list) {
      const [address = '', bits = '0', ...more] = each.split('/');
      const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
      if (more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > most) {
        throw new RangeError('must be a comma-separated list of addresses and networks such as 127.0.0.1,10.0.0.0/8');
      }
    }
    return list;
  };
  return { ...described, kind: 'list of networks', default: [], shown: '', parse };
}

/** What answers can be compressed in (RFC 9110, section 8.4.1). */
export const contentCodings = ['br', 'gzip'] as const;
export type ContentCoding = (typeof contentCodings)[number];

export function codings(standard: string, described: Described): Option<readonly ContentCoding[]> {
  const parse = (given: string): readonly ContentCoding[] => {
    if (given === 'off') return [];
    const list = given.split(',').map((each) => contentCodings.find((coding) => coding === each.trim()));
    const known = list.filter((each) => each !== undefined);
    if (known.length < list.length || new Set(known).size < known.length) {
      throw new RangeError(`must be off, or a comma-separated list of ${contentCodings.join(' and ')}`);
    }
    return known;
  };
  return { ...described, kind: 'list of content codings, or off', default: parse(standard), shown: standard, parse };
}

function addressIn(given: string): Address | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(given) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}
