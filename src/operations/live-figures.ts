import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Server } from 'node:http';
import { type CacheEvent, cacheChannel } from '../cache/channels.ts';
import type { Clock } from '../cache/clock.ts';
import { HotKeys } from './hot-keys.ts';

/** What happened since the start; nothing here is ever reset. */
interface Totals {
  requests: number;
  memoryHits: number;
  storeHits: number;
  misses: number;
  bypasses: number;
  fills: number;
  invalidations: number;
}

export type Rates = { readonly [N in keyof Totals]: number };

/**
 * Live figures of one process, for `GET /internal/stats`: rates of the last seconds, latencies and hot keys of some of the
 * reads. A request that is not looked at closer costs an addition or two.
 */
export class LiveFigures {
  readonly #totals: Totals = {
    requests: 0,
    memoryHits: 0,
    storeHits: 0,
    misses: 0,
    bypasses: 0,
    fills: 0,
    invalidations: 0,
  };
  readonly #history: { readonly at: number; readonly totals: Totals }[] = [];
  readonly #keys = new HotKeys(heldKeys);
  readonly #clock: Pick<Clock, 'now' | 'random' | 'every'>;
  #recent: RecordableHistogram = createHistogram();
  #before: RecordableHistogram = createHistogram();
  #untilKey = 1;
  #untilTime = 1;
  #ticks = 0;

  constructor(clock: Pick<Clock, 'now' | 'random' | 'every'>) {
    this.#clock = clock;
    this.#remember();
  }

  /** Begins to count; returns how to stop. */
  start(server: Server, isRead: (url: string) => boolean): () => void {
    const hear = (message: unknown): void => {
      // The channel carries what `publish` of `cache/channels.ts` takes, and nothing else.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      this.#hear(message as CacheEvent);
    };
    cacheChannel.subscribe(hear);
    // Before whoever answers.
    server.prependListener('request', (request, response) => {
      if (!isRead(request.url ?? '')) return;
      this.#totals.requests += 1;
      this.#untilTime -= 1;
      if (this.#untilTime > 0) return;
      this.#untilTime = this.#stride();
      const began = performance.now();
      response.once('finish', () => this.#recent.record(Math.max(1, Math.round((performance.now() - began) * 1_000))));
    });
    const stopTicking = this.#clock.every(tickMs, () => this.#tick());
    return () => {
      stopTicking();
      cacheChannel.unsubscribe(hear);
    };
  }

  #hear(event: CacheEvent): void {
    const totals = this.#totals;
    const { type } = event;
    if (type === 'hit') {
      if (event.tier === 'memory') totals.memoryHits += event.requests;
      else totals.storeHits += event.requests;
      this.#countKey(event.key, event.requests);
    } else if (type === 'miss') {
      totals.misses += 1;
      this.#countKey(event.key, 1);
    } else if (type === 'bypass') totals.bypasses += 1;
    else if (type === 'fill') totals.fills += 1;
    else if (type === 'invalidate' || type === 'invalidate-all' || type === 'fence') totals.invalidations += 1;
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
    if (this.#ticks % ticksPerWindow !== 0) return;
    this.#keys.fade(fading);
    this.#before = this.#recent;
    this.#recent = createHistogram();
  }

  #remember(): void {
    this.#history.push({ at: this.#clock.now(), totals: { ...this.#totals } });
    if (this.#history.length > ticksPerWindow + 1) this.#history.shift();
  }

  /** Per second, of the last ten seconds. */
  rates(): Rates {
    const [oldest] = this.#history;
    const seconds = Math.max(0.001, (this.#clock.now() - (oldest?.at ?? 0)) / 1_000);
    const per = (name: keyof Totals): number => (this.#totals[name] - (oldest?.totals[name] ?? 0)) / seconds;
    return {
      requests: per('requests'),
      memoryHits: per('memoryHits'),
      storeHits: per('storeHits'),
      misses: per('misses'),
      bypasses: per('bypasses'),
      fills: per('fills'),
      invalidations: per('invalidations'),
    };
  }

  /** Milliseconds from the arrival of a read to its last byte, of the last ten to twenty seconds; `null` when there was none. */
  latency(): { readonly p50Ms: number; readonly p99Ms: number; readonly sampled: number } | null {
    const both = createHistogram();
    both.add(this.#before);
    both.add(this.#recent);
    if (both.count === 0) return null;
    return { p50Ms: both.percentile(50) / 1_000, p99Ms: both.percentile(99) / 1_000, sampled: both.count };
  }

  hottest(most: number): { readonly key: string; readonly share: number }[] {
    return this.#keys.hottest(most);
  }
}

const tickMs = 1_000;
const ticksPerWindow = 10;
/** Half of what is held in a window is forgotten. */
const fading = 0.5;
const heldKeys = 256;
/** One read in so many is looked at closer. */
const meanStride = 8;
