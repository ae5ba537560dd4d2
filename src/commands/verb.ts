import { CatalogueError } from '../errors.ts';
import type { Output } from './output.ts';

/** What the command line can do: `verbs.ts` has the table, `command-line.ts` reads it, `docs/command-line.md` is made of it. */
export interface Verb {
  /** `doctor`; of two words where verbs belong together: `config print`. */
  readonly name: string;
  /** One line that begins with a verb, without a full stop. */
  readonly summary: string;
  /** Paragraphs that follow it in the help and in the document. */
  readonly details?: readonly string[];
  readonly argument?: Argument;
  readonly flags?: readonly Flag[];
  /** The exit codes that it can end with, beside those of every verb. */
  readonly exits?: readonly ExitName[];
  /** Resolves when it is done. `undefined` means `done`; a verb that goes on until a signal ends by itself. */
  readonly run: (given: Given) => Promise<ExitName | undefined>;
}

interface Argument {
  readonly name: string;
  readonly description: string;
  readonly isRequired: boolean;
}

export interface Flag {
  readonly name: string;
  /** Stands for its value in the help; a flag without one is a switch. */
  readonly value?: string;
  readonly description: string;
  /** Shown in the help; the verb itself puts it in. */
  readonly standard?: string;
}

/** What stood on the command line. */
export interface Given {
  readonly argument: string | undefined;
  readonly flags: Readonly<Record<string, string | true | undefined>>;
  readonly output: Output;
}

export const exitCodes = {
  done: { code: 0, meaning: 'Done. `doctor` and `config check` found nothing that fails; warnings are no failure.' },
  failed: { code: 1, meaning: 'It could not be done. One sentence on standard error says why.' },
  usage: { code: 2, meaning: 'The command line is wrong: an unknown verb or flag, or a value outside its range.' },
  found: { code: 3, meaning: 'It was done, and something is wrong: the output says what.' },
  interrupted: { code: 130, meaning: 'Ended by SIGINT before it was done.' },
} as const satisfies Record<string, { code: number; meaning: string }>;

export type ExitName = keyof typeof exitCodes;

export function usageError(reason: string): CatalogueError {
  return new CatalogueError('USAGE', { params: { reason } });
}

/** A verb could not do its work: the reason is told as it is. */
export function failure(reason: string, cause?: unknown): CatalogueError {
  return new CatalogueError('COMMAND_FAILED', { params: { reason }, cause });
}

export function textOf({ flags }: Given, name: string): string | undefined {
  const value = flags[name];
  return typeof value === 'string' ? value : undefined;
}

export function isSet({ flags }: Given, name: string): boolean {
  return flags[name] === true;
}

/** The value of a flag as a whole number. Throws `CatalogueError` `USAGE`. */
export function numberOf(given: Given, name: string, range: { standard: number; least: number; most: number }): number;
export function numberOf(given: Given, name: string, range: { least: number; most: number }): number | undefined;
export function numberOf(
  given: Given,
  name: string,
  { standard, least, most }: { standard?: number; least: number; most: number },
): number | undefined {
  const text = textOf(given, name);
  if (text === undefined) return standard;
  const value = Number(text);
  if (!/^\d{1,10}$/.test(text) || value < least || value > most) {
    throw usageError(`--${name} must be a whole number from ${least} to ${most}`);
  }
  return value;
}
