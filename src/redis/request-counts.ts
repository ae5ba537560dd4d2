import type { Counted, RequestCounts } from '../http/request-counts.ts';
import { asNumber } from './replies.ts';
import type { Servers } from './servers.ts';

/**
 * Counts of all instances: a number per key, which goes with its window. What others send in between does no harm; a window
 * that ends between the two steps leaves a number without an end, which gets one.
 */
export class RedisCounts implements RequestCounts {
  readonly #servers: Servers;

  constructor(servers: Servers) {
    this.#servers = servers;
  }

  async count(key: string, windowMs: number): Promise<Counted> {
    const place = this.#servers.placeOf(`${prefix}${key}`);
    return await this.#servers.at(place, (server) =>
      server.withCommands(async ({ link, deadlineMs }) => {
        const [, count, left] = await link.send(deadlineMs, [
          ['SET', place.value, 0, 'PX', windowMs, 'NX'],
          ['INCR', place.value],
          ['PTTL', place.value],
        ]);
        const leftMs = asNumber(left);
        if (leftMs >= 0) return { count: asNumber(count), leftMs };
        await link.send(deadlineMs, [['PEXPIRE', place.value, windowMs]]);
        return { count: asNumber(count), leftMs: windowMs };
      }),
    );
  }
}

const prefix = 'energex:limit:';
