import { type CacheEvent, cacheChannel } from '../cache/channels.ts';
import type { Clock } from '../cache/clock.ts';
import { HotKeys } from './hot-keys.ts';
import { durationBuckets } from './metrics/definitions.ts';
import { quantileOf } from './metrics/quantile.ts';
import type { Totals } from './metrics/totals.ts';

type RateName = Exclude<keyof Totals, 'durations'>;
type LiveClock = Pick<Clock, 'now' | 'random' | 'every' | 'sleep'>;

/**
 * Live figures of one process, for `GET /internal/stats`. Rates and latencies are what the numbers of `/metrics` have grown by,
 * so they cost requests nothing. Hot keys are counted only while somebody asks.
 */
export class LiveFigures {
  readonly #clock: LiveClock;
  readonly #read: () => Totals;
  readonly #history: { readonly at: number; readonly totals: Totals }[] = [];
  #keys = new HotKeys(heldKeys);
  #untilKey = 1;
  #askedAt = 0;
  #ticks = 0;
  #stopListening: (() => void) | undefined;

  /** `read`: the totals until now. */
  constructor(clock: LiveClock, read: () => Totals) {
    this.#clock = clock;
    this.#read = read;
  }

  /** Begins to remember; returns how to stop. */
  start(): () => void {
    this.#remember();
    const stopTicking = this.#clock.every(tickMs, () => this.#tick());
    return () => {
      stopTicking();
      this.#stopListening?.();
    };
  }

  /** Somebody asks. Who comes first waits until there has been something to count. */
  async ask(): Promise<void> {
    this.#askedAt = this.#clock.now();
    if (this.#stopListening !== undefined) return;
    this.#listen();
    await this.#clock.sleep(firstLookMs);
  }

  #listen(): void {
    const hear = (message: unknown): void => {
      // The channel carries what `publish` of `cache/channels.ts` takes, and nothing else.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const event = message as CacheEvent;
      if (event.type === 'hit') this.#countKey(event.key, event.requests);
      else if (event.type === 'miss') this.#countKey(event.key, 1);
    };
    cacheChannel.subscribe(hear);
    this.#stopListening = () => {
      cacheChannel.unsubscribe(hear);
      this.#stopListening = undefined;
      this.#keys = new HotKeys(heldKeys);
    };
  }

  #countKey(key: string, requests: number): void {
    this.#untilKey -= requests;
    while (this.#untilKey <= 0) {
      this.#untilKey += this.#stride();
      this.#keys.count(key, 1);
    }
  }

  /** At uneven distances: what comes in turns would else be looked at never, or always. */
  #stride(): number {
    return 1 + Math.floor(this.#clock.random() * (2 * meanStride - 1));
  }

  #tick(): void {
    this.#remember();
    this.#ticks += 1;
    if (this.#ticks % ticksPerWindow === 0) this.#keys.fade(fading);
    if (this.#clock.now() - this.#askedAt > listeningMs) this.#stopListening?.();
  }

  #remember(): void {
    this.#history.push({ at: this.#clock.now(), totals: this.#read() });
    if (this.#history.length > ticksPerWindow + 1) this.#history.shift();
  }

  /** Of the last ten seconds. */
  look(most: number): LiveLook {
    const totals = this.#read();
    const oldest = this.#history[0] ?? { at: this.#clock.now(), totals };
    const seconds = Math.max(0.001, (this.#clock.now() - oldest.at) / 1_000);
    const rate = (name: RateName): number => (totals[name] - oldest.totals[name]) / seconds;
    return {
      rates: {
        requests: rate('requests'),
        memoryHits: rate('memoryHits'),
        storeHits: rate('storeHits'),
        misses: rate('misses'),
        bypasses: rate('bypasses'),
        fills: rate('fills'),
        invalidations: rate('invalidations'),
      },
      latency: latencyOf(totals.durations.map((count, at) => count - (oldest.totals.durations[at] ?? 0))),
      hottest: this.#keys.hottest(most),
    };
  }
}

export interface LiveLook {
  /** Per second. */
  readonly rates: { readonly [N in RateName]: number };
  /** Milliseconds until the answers of `requests` reads were handed to their connections; `null` when there were none. */
  readonly latency: { readonly p50Ms: number; readonly p99Ms: number; readonly requests: number } | null;
  /** Keys with their shares of what was counted, from 0 to 1. */
  readonly hottest: readonly { readonly key: string; readonly share: number }[];
}

function latencyOf(counts: readonly number[]): LiveLook['latency'] {
  let requests = 0;
  const buckets = counts.map((more, at) => {
    requests += more;
    return { le: durationBuckets[at] ?? Number.POSITIVE_INFINITY, count: requests };
  });
  const quantileMs = (q: number): number => (quantileOf(buckets, q) ?? 0) * 1_000;
  return requests === 0 ? null : { p50Ms: quantileMs(0.5), p99Ms: quantileMs(0.99), requests };
}

const tickMs = 1_000;
const ticksPerWindow = 10;
/** Half of what is held is forgotten in a window. */
const fading = 0.5;
const firstLookMs = 1_000;
/** Hot keys are counted for so long after somebody has asked. */
const listeningMs = 30_000;
const heldKeys = 256;
/** One read in so many is looked at closer. */
const meanStride = 8;
