import type { Command, Reply } from '../../../src/redis/link.ts';
import type { Random } from '../random.ts';
import type { Timeline } from '../timeline.ts';
import { RedisError, toReply } from './reply.ts';
import type { SimulatedRedis } from './server.ts';

/**
 * One TCP connection: each direction keeps its order; what is under way takes its time, and may be held up or lost.
 * Other connections' commands come in between those of a pipeline.
 */
export class Connection {
  readonly server: SimulatedRedis;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #traffic: Traffic;
  readonly #delayMs: number;
  #serverHears = 0;
  #clientHears = 0;
  #heldUntil = 0;
  #clientIsThere = true;
  #serverIsThere = true;
  #whenLost = (): void => undefined;
  /** How many of the commands under way still take effect when the client is gone. */
  #stillHeard = Number.POSITIVE_INFINITY;

  constructor({ server, timeline, random, traffic }: Network, delayMs: number) {
    this.server = server;
    this.#timeline = timeline;
    this.#random = random;
    this.#traffic = traffic;
    this.#delayMs = delayMs;
  }

  /** Sends a pipeline. `answered` is called with all replies or the first error; never, when the connection is lost. */
  send(commands: readonly Command[], answered: (replies: readonly Reply[] | RedisError) => void): void {
    const replies: Reply[] = [];
    let failed: RedisError | undefined;
    this.#serverHears = Math.max(this.#serverHears, this.#timeline.now + this.#delay());
    for (const [index, command] of commands.entries()) {
      if (index > 0) this.#serverHears += this.#random.between(0.001, this.#random.chance(0.2) ? 1 : 0.05);
      this.#deliver(this.#serverHears, () => {
        if (!this.#serverIsThere || this.#stillHeard <= 0) return;
        if (!this.#clientIsThere) this.#stillHeard -= 1;
        try {
          replies.push(toReply(this.server.run(command)));
        } catch (error) {
          if (!(error instanceof RedisError)) throw error;
          failed ??= error;
        }
        if (index === commands.length - 1) this.#answer(() => answered(failed ?? replies));
      });
    }
  }

  #answer(answered: () => void): void {
    this.#clientHears = Math.max(this.#clientHears, this.#timeline.now + this.#delay());
    this.#deliver(this.#clientHears, () => {
      if (this.#clientIsThere && this.#serverIsThere) answered();
    });
  }

  /** Nothing gets through for a while, in either direction, and nobody is told. */
  hold(ms: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#timeline.now + ms);
  }

  /** The client is gone; of what it has sent, some may still take effect. */
  clientIsGone(): void {
    this.#clientIsThere = false;
    this.#stillHeard = this.#random.chance(0.5) ? 0 : this.#random.below(8);
  }

  /** The server is gone, and with it what it has not yet heard. */
  serverIsGone(): void {
    this.#serverIsThere = false;
    this.#whenLost();
  }

  /** `lost` is called when the server is gone. */
  whenLost(lost: () => void): void {
    this.#whenLost = lost;
  }

  #deliver(at: number, message: () => void): void {
    this.#timeline.at(at, () => {
      // Same instant, so that the order stays.
      if (this.#timeline.now < this.#heldUntil) this.#deliver(this.#heldUntil, message);
      else message();
    });
  }

  /** Mostly short, now and then long. */
  #delay(): number {
    return (
      this.#delayMs *
      (this.#random.chance(this.#traffic.jams) ? this.#random.between(1, 40) : this.#random.between(0.2, 2))
    );
  }
}

interface Network {
  readonly server: SimulatedRedis;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly traffic: Traffic;
}

export interface Traffic {
  /** Share of the messages that take long. */
  jams: number;
}
