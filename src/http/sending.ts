import type { ServerResponse } from 'node:http';
import { type Bytes, Rope } from '../cache/rope.ts';

/**
 * The large values that are on their way to clients, each counted once however many take it. A client that is slow to take a
 * list holds its bytes in memory, and so does each of many that hold the list of different times: beyond a bound no answer is
 * begun, and a client that takes nothing at all is cut.
 *
 * As long as a value is on its way, the in-process tier finds it again, be it evicted or too large to be kept: so those who
 * ask for it next share its bytes.
 */
export class Sending {
  readonly #mostBytes: number;
  readonly #stallMs: number;
  /** How many answers use a buffer. */
  readonly #uses = new Map<object, number>();
  #bytes = 0;

  /** `stallMs`: how long a client may take no byte. */
  constructor(options: { readonly mostBytes: number; readonly stallMs: number }) {
    this.#mostBytes = options.mostBytes;
    this.#stallMs = options.stallMs;
  }

  /** Bytes that are held for clients; those of small values do not count. */
  get bytes(): number {
    return this.#bytes;
  }

  /** To be called before an answer is begun. `false`: there is too much on its way already. */
  begin(response: ServerResponse, value: Bytes): boolean {
    // One that is gone already tells of no end.
    if (value.length < largeBytes || response.destroyed) return true;
    const buffers = value instanceof Rope ? value.sources : [value];
    const more = buffers.reduce((sum, buffer) => sum + (this.#uses.has(buffer) ? 0 : buffer.length), 0);
    // One alone may be larger than the bound.
    if (more > 0 && this.#bytes > 0 && this.#bytes + more > this.#mostBytes) return false;
    this.#bytes += more;
    for (const buffer of buffers) this.#uses.set(buffer, (this.#uses.get(buffer) ?? 0) + 1);
    response.setTimeout(this.#stallMs, () => response.destroy());
    // Holds on to the value too: without its rope the sources would not be found again.
    response.once('close', () => this.#end(value, buffers));
    return true;
  }

  #end(_value: Bytes, buffers: readonly Buffer[]): void {
    for (const buffer of buffers) {
      const uses = (this.#uses.get(buffer) ?? 1) - 1;
      if (uses > 0) {
        this.#uses.set(buffer, uses);
        continue;
      }
      this.#uses.delete(buffer);
      this.#bytes -= buffer.length;
    }
  }
}

const largeBytes = 64 * 1024;
