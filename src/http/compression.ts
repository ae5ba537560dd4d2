import type { Clock } from '../cache/clock.ts';
import type { HeldEntry } from '../cache/memory-tier.ts';
import { type CodedValue, encodeValue } from './coded-value.ts';
import type { ContentCoding } from '../option-kinds.ts';
import { type Acceptance, Acceptances } from './content-coding.ts';
import { envelopeHead } from './envelope.ts';

/**
 * Which versions are compressed, and when: once per version and content coding, off the event loop. A hit never waits for it; it
 * is answered as it is until the compressed form is there.
 *
 * A form goes through these states:
 *
 *   none     -> asked     a client that accepts the coding was answered without it
 *   asked    -> underWay  another one asks, after at least the time that compressing is expected to take
 *   underWay -> ready     kept beside the value, and counted against the bound of the in-process tier
 *   underWay -> givenUp   it saves too little, the tier holds the value no more or has no room, or something failed
 *
 * So what lives shortly is not compressed: what has stood for some time is expected to stand for as much again. At most one
 * version is being compressed, and after it as much of a pause is made as keeps the share of the thread below a quarter,
 * however fast versions follow each other. Nothing queues: who is not served now is looked at again with its next hit.
 */
export class Compression {
  readonly #codings: readonly ContentCoding[];
  readonly #leastBytes: number;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #acceptances: Acceptances;
  readonly #keepBeside: CompressionOptions['keepBeside'];
  readonly #encode: typeof encodeValue;
  readonly #ending = new AbortController();
  #isBusy = false;
  #restsUntil = Number.NEGATIVE_INFINITY;

  constructor(options: CompressionOptions) {
    this.#codings = options.codings;
    this.#leastBytes = options.leastBytes;
    this.#clock = options.clock;
    this.#keepBeside = options.keepBeside;
    this.#encode = options.encode ?? encodeValue;
    this.#acceptances = new Acceptances(options.codings);
  }

  /** Whether a value of so many bytes may be sent compressed, so that answers depend on `Accept-Encoding`. */
  varies(bytes: number): boolean {
    return bytes >= this.#leastBytes && this.#codings.length > 0;
  }

  acceptance(header: string | undefined): Acceptance {
    return this.#acceptances.of(header);
  }

  /** The value as `acceptEncoding` would have it best, if it is there in that coding. Else that may be begun. */
  find(held: HeldEntry, acceptEncoding: string | undefined): CodedValue | undefined {
    if (acceptEncoding === undefined || !this.varies(held.value.length)) return undefined;
    const { best } = this.#acceptances.of(acceptEncoding);
    if (best === 'identity') return undefined;
    const forms = held.forms instanceof Forms ? held.forms : new Forms(held);
    const form = forms[best];
    if (form.state === 'ready') return form.coded;
    if (form.state === 'none') {
      forms[best] = { state: 'asked', at: this.#clock.now() };
    } else if (form.state === 'asked' && this.#isWorth(held.value.length, form.at)) {
      forms[best] = { state: 'underWay' };
      void this.#compress(held, forms, best);
    }
    return undefined;
  }

  /** Ends what is under way. */
  close(): void {
    this.#ending.abort();
  }

  #isWorth(bytes: number, askedAt: number): boolean {
    const now = this.#clock.now();
    const isIdle = !this.#isBusy && now >= this.#restsUntil && !this.#ending.signal.aborted;
    return isIdle && now - askedAt >= bytes / bytesPerMs;
  }

  async #compress(held: HeldEntry, forms: Forms, coding: ContentCoding): Promise<void> {
    const began = this.#clock.now();
    const { value } = held;
    const limits = { mostBytes: Math.floor(value.length * worthwhileShare), signal: this.#ending.signal };
    this.#isBusy = true;
    try {
      const coded = await this.#encode(coding, envelopeHead, value, limits);
      forms[coding] = this.#keepBeside(held, coded.bytes.length) ? { state: 'ready', coded } : { state: 'givenUp' };
    } catch {
      // It is answered as it is from now on.
      forms[coding] = { state: 'givenUp' };
    }
    this.#isBusy = false;
    const now = this.#clock.now();
    this.#restsUntil = now + (now - began) * restPerWork;
  }
}

export interface CompressionOptions {
  /** Best first; none: nothing is compressed. */
  readonly codings: readonly ContentCoding[];
  /** The least size of a value that is compressed. */
  readonly leastBytes: number;
  readonly clock: Pick<Clock, 'now'>;
  /** See `MemoryTier.keepBeside`. */
  readonly keepBeside: (held: HeldEntry, bytes: number) => boolean;
  readonly encode?: typeof encodeValue;
}

type Form =
  | { readonly state: 'none' | 'underWay' | 'givenUp' }
  | { readonly state: 'asked'; readonly at: number }
  | { readonly state: 'ready'; readonly coded: CodedValue };

/** The forms of one version. They stand in its entry, and go with it. */
class Forms implements Record<ContentCoding, Form> {
  br: Form = none;
  gzip: Form = none;

  constructor(held: HeldEntry) {
    held.forms = this;
  }
}

const none: Form = { state: 'none' };

/** About what was measured of each coding (`docs/performance.md`), for the time that compressing is expected to take. */
const bytesPerMs = 120_000;
/** Of the time. */
const restPerWork = 3;
/** Compressed bytes beyond this share of the value are not worth their memory. */
const worthwhileShare = 0.9;
