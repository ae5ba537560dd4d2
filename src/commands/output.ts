/**
 * Where a verb prints. What it has found goes to standard output: lines for people or, with `--json`, one document (one per
 * line from a verb that goes on). How it gets on goes there as well for people, and to standard error with `--json`.
 */
export class Output {
  readonly isJson: boolean;
  readonly #stdout: Terminal;
  readonly #stderr: Terminal;

  constructor(options: { readonly isJson: boolean; readonly stdout: Terminal; readonly stderr: Terminal }) {
    this.isJson = options.isJson;
    this.#stdout = options.stdout;
    this.#stderr = options.stderr;
  }

  /** What was found: `lines` for people, the document for programs. */
  show(document: unknown, lines: readonly string[]): void {
    const text = this.isJson ? JSON.stringify(document) : lines.join('\n');
    if (text !== '') this.#stdout.write(`${text}\n`);
  }

  /** A remark that is no part of what was found. */
  note(line: string): void {
    this.#stderr.write(`${line}\n`);
  }

  /** Where progress is shown. */
  get progress(): Terminal {
    return this.isJson ? this.#stderr : this.#stdout;
  }

  /** Whether somebody looks at what is found, and colours mean something. */
  get isTerminal(): boolean {
    return !this.isJson && this.#stdout.isTTY === true;
  }

  /** Lines of the terminal, and columns. */
  get size(): { readonly rows: number; readonly columns: number } {
    return { rows: this.#stdout.rows ?? 24, columns: this.#stdout.columns ?? 80 };
  }

  /** As it is, without a line break: for a verb that draws. */
  draw(text: string): void {
    this.#stdout.write(text);
  }
}

/** A stream that may be a terminal. */
export type Terminal = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly rows?: number;
  readonly columns?: number;
};
