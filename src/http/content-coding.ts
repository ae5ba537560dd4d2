import Negotiator from 'negotiator';
import { type ContentCoding, contentCodings } from '../option-kinds.ts';

/**
 * Content codings (RFC 9110, section 8.4.1): which of them a client accepts, and the entity tags of what is sent in them.
 */
/** With `identity` for no coding at all. */
export type AnyCoding = ContentCoding | 'identity';

const anyCodings = [...contentCodings, 'identity'] as const;

/** What an `Accept-Encoding` says. */
export interface Acceptance {
  /** What is best to answer in. */
  readonly best: AnyCoding;
  readonly accepts: ReadonlySet<AnyCoding>;
}

/** Without the header every coding is acceptable, but a client that says nothing may know none. */
const nothingSaid: Acceptance = { best: 'identity', accepts: new Set(anyCodings) };

/** Reads `Accept-Encoding` (RFC 9110, section 12.5.3). What it has read lately it knows, as clients say few different things. */
export class Acceptances {
  readonly #offered: readonly AnyCoding[];
  readonly #known = new Map<string, Acceptance>();

  /** `offered`: what answers are made in, best first. */
  constructor(offered: readonly ContentCoding[]) {
    this.#offered = [...offered, 'identity'];
  }

  of(header: string | undefined): Acceptance {
    if (header === undefined) return nothingSaid;
    const known = this.#known.get(header);
    if (known !== undefined) return known;
    const acceptance = this.#parse(header);
    if (header.length > longestKnown) return acceptance;
    if (this.#known.size >= mostKnown) this.#known.clear();
    this.#known.set(header, acceptance);
    return acceptance;
  }

  #parse(header: string): Acceptance {
    const negotiator = new Negotiator({ headers: { 'accept-encoding': header } });
    const accepted = negotiator.encodings(anyCodings, { preferred: this.#offered });
    // A client that refuses all that there is gets it as it is: RFC 9110, section 12.4.1, leaves that to the server.
    const best = accepted.flatMap((one) => this.#offered.filter((offered) => offered === one))[0] ?? 'identity';
    return { best, accepts: new Set(anyCodings.filter((coding) => accepted.includes(coding))) };
  }
}

const mostKnown = 500;
const longestKnown = 200;

/**
 * The strong tag of what has `etag` as it is: other bytes must have another one (RFC 9110, section 8.8.3). Proxies that
 * compress write it this way as well.
 */
export function tagIn(coding: AnyCoding, etag: string): string {
  return coding === 'identity' ? etag : `${etag.slice(0, -1)}-${coding}"`;
}

/** The coding of which `tag` is the tag, if it is one of `etag` at all. */
export function codingOf(tag: string, etag: string): AnyCoding | undefined {
  return anyCodings.find((coding) => tag === tagIn(coding, etag));
}
