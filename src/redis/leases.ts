import type { Fill, Filled } from '../cache/store.ts';
import { Gathering } from '../gathering.ts';
import { storedPosition } from './positions.ts';
import type { AcquireReply, Asking, Failed, Filling } from './scripts.ts';
import * as scripts from './scripts.ts';
import type { Steps } from './servers.ts';

/** Leases and fills on one server: those of one turn of this process go out together. */
export class Leases {
  readonly #server: Steps;
  readonly #options: LeasesOptions;
  readonly #acquisitions: Gathering<Wish, Taken>;
  readonly #fillings: Gathering<Filling, Filled | Failed>;

  constructor(server: Steps, options: LeasesOptions) {
    this.#server = server;
    this.#options = options;
    const { mostTogether } = options;
    this.#acquisitions = new Gathering((wishes) => this.#acquire(wishes), { mostTogether });
    this.#fillings = new Gathering((fillings) => this.#fill(fillings), {
      mostTogether,
      mostBytes,
      bytesOf: ({ fill: { value } }) => value?.length ?? 0,
    });
  }

  acquire(wish: Wish): Promise<Taken> {
    return this.#acquisitions.ask(wish);
  }

  store(filling: Filling): Promise<Filled | Failed> {
    return this.#fillings.ask(filling);
  }

  async #acquire(wishes: readonly Wish[]): Promise<readonly Taken[]> {
    return await this.#server.withValues(async (call) => {
      const { trusted } = call;
      const asked = wishes.map((wish) => ({ ...wish, token: trusted + this.#options.unique() }));
      const { channel } = this.#options;
      const replies = await scripts.acquire(call, asked, { trusted, maxFields: mostGuardFields, channel });
      return replies.map((reply, index) => ({ token: asked[index]?.token ?? '', trusted, reply }));
    });
  }

  async #fill(fillings: readonly Filling[]): Promise<readonly (Filled | Failed)[]> {
    return await this.#server.withValues(async (call) => {
      // Others were loaded for another run of the server, or from another database.
      const good = fillings.filter(({ token }) => token.startsWith(call.trusted));
      const asStored = good.map((filling) => ({ ...filling, finding: toFinding(filling.fill.found, call.trusted) }));
      const replies = good.length === 0 ? [] : await scripts.fill(call, asStored);
      const answers = new Map(good.map((filling, index) => [filling, replies[index]]));
      return fillings.map((filling) => answers.get(filling) ?? { stored: false, reason: 'lease-lost' });
    });
  }
}

function toFinding(found: Fill['found'], trusted: string): scripts.Finding | undefined {
  return found && { mark: found.since.mark, position: storedPosition(found.position, trusted) };
}

export interface LeasesOptions {
  /** See `CacheStore.unique`. */
  readonly unique: () => string;
  /** Of this instance, to be woken by. */
  readonly channel: string;
  /** Most places in one call. */
  readonly mostTogether: number;
}

type Wish = Omit<Asking, 'token'>;

interface Taken {
  readonly token: string;
  /** What versions began with when it was taken. */
  readonly trusted: string;
  readonly reply: AcquireReply;
}

/** A guard that has this many fields forgets the parts it guards: 4 to 6 fields a part, a hash of some 100 KB. */
const mostGuardFields = 2_000;

const mostBytes = 256 * 1024;
