import { LuaError, type LuaValue } from './values.ts';

/** Where the names of a script live: each local has a register of its own, which is settled when the script is compiled. */
export class Scope {
  readonly #names = new Map<string, number>();
  readonly #outer: Scope | undefined;
  readonly #root: Scope;
  readonly #globals: ReadonlyMap<string, LuaValue>;
  #count = 0;

  constructor(globals: ReadonlyMap<string, LuaValue>, outer?: Scope) {
    this.#globals = globals;
    this.#outer = outer;
    this.#root = outer === undefined ? this : outer.#root;
  }

  inner(): Scope {
    return new Scope(this.#globals, this);
  }

  declare(name: string): number {
    const slot = this.#root.#count;
    this.#root.#count += 1;
    this.#names.set(name, slot);
    return slot;
  }

  /** The register of a local, `undefined` where there is none of that name. */
  find(name: string): number | undefined {
    return this.#names.get(name) ?? this.#outer?.find(name);
  }

  global(name: string): LuaValue {
    const value = this.#globals.get(name);
    // Redis too refuses a script that reads a global variable that was never set.
    if (value === undefined) throw new LuaError(`Script attempted to access nonexistent global variable '${name}'`);
    return value;
  }
}
