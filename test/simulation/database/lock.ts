type Mode = 'shared' | 'exclusive';

/** A row lock: first come, first served, so that whoever wants the whole is not starved by shares. */
export class Lock {
  readonly #holders = new Map<object, Mode>();
  #queue: { readonly owner: object; readonly mode: Mode; readonly granted: () => void }[] = [];

  /** Calls `granted` at once or when its turn has come. An owner may take the same lock again. */
  take(owner: object, mode: Mode, granted: () => void): void {
    const held = this.#holders.get(owner);
    if (held === 'exclusive' || held === mode) {
      granted();
      return;
    }
    this.#queue.push({ owner, mode, granted });
    this.#grant();
  }

  /** Lets go, and stops waiting. */
  release(owner: object): void {
    this.#holders.delete(owner);
    this.#queue = this.#queue.filter((waiting) => waiting.owner !== owner);
    this.#grant();
  }

  get free(): boolean {
    return this.#holders.size === 0 && this.#queue.length === 0;
  }

  #grant(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const { owner, mode, granted } = first;
      const others = [...this.#holders].filter(([holder]) => holder !== owner);
      if (others.some(([, other]) => mode === 'exclusive' || other === 'exclusive')) return;
      this.#queue.shift();
      this.#holders.set(owner, mode);
      granted();
    }
  }
}
