import type { Redis } from 'ioredis';
import type { Command } from './link.ts';

/**
 * Several commands as one text, written at once, and one promise for all replies. ioredis stays in charge of connection,
 * queue, parsing and errors: it gets one object to queue for each reply that is to come. Its own pipeline makes a command
 * with a promise, a few closures and a result of each, which costs twice as much as all the rest of a validated hit.
 *
 * What ioredis needs of a command is what it calls `Respondable` (name, args, resolve, reject), and the methods that
 * `sendCommand` calls on the way.
 */
class Batch {
  readonly name: string;
  readonly args: readonly string[] = [];
  readonly promise: Promise<readonly unknown[]>;
  readonly #settle: PromiseWithResolvers<readonly unknown[]>;
  readonly #replies: unknown[] = [];
  readonly #count: number;
  #text: string;
  #error: Error | undefined;

  constructor(commands: readonly TextCommand[]) {
    this.name = commands[0]?.[0] ?? '';
    this.#count = commands.length;
    this.#text = encode(commands);
    this.#settle = Promise.withResolvers();
    this.promise = this.#settle.promise;
  }

  /** Once the whole text, then nothing: ioredis asks for each reply. */
  toWritable(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  setReplyContext(): void {
    // The replies of RESP 2 are what is wanted.
  }

  resolve(reply: unknown): void {
    this.#replies.push(reply);
    this.#finish();
  }

  /** The first error counts; the others' replies are waited for, as nothing may be told before all is over. */
  reject(error: Error): void {
    this.#error ??= error;
    this.#replies.push(error);
    this.#finish();
  }

  #finish(): void {
    if (this.#replies.length < this.#count) return;
    if (this.#error === undefined) this.#settle.resolve(this.#replies);
    else this.#settle.reject(this.#error);
  }
}

/** Sends all of them; rejects with the first error among the replies, or that of the connection. */
export function sendBatch(client: Redis, commands: readonly TextCommand[]): Promise<readonly unknown[]> {
  const batch = new Batch(commands);
  // What ioredis declares are its own classes, private members included.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const sender = client as unknown as Sender;
  sender.sendCommand(batch);
  // The text went out with the first.
  for (let index = 1; index < commands.length; index += 1) sender.sendCommand(batch, swallow);
  return batch.promise;
}

interface Sender {
  sendCommand(command: Batch, stream?: typeof swallow): unknown;
}

/** Without bytes among its arguments. */
export type TextCommand = readonly [string, ...(string | number)[]];

export function isText(command: Command): command is TextCommand {
  return command.every((word) => typeof word !== 'object');
}

const swallow = { write: (): boolean => true };

/** RESP: arrays of bulk strings. */
function encode(commands: readonly TextCommand[]): string {
  let text = '';
  for (const words of commands) {
    text += `*${words.length}\r\n`;
    for (const word of words) {
      const argument = String(word);
      text += `$${Buffer.byteLength(argument)}\r\n${argument}\r\n`;
    }
  }
  return text;
}
