import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreUnavailable } from '../cache/store.ts';
import type { Command, RedisLink, Reply } from './link.ts';

const folder = join(import.meta.dirname, '..', '..', 'lua');

export interface Script {
  readonly text: string;
  readonly sha: string;
}

export type Argument = string | number | Buffer;

/** The files of `lua/` by these names, one behind the other. */
export function loadScript(...names: readonly string[]): Script {
  const text = names.map((name) => readFileSync(join(folder, `${name}.lua`), 'utf8')).join('\n');
  const sha = createHash('sha1').update(text).digest('hex');
  namesOfScripts.set(sha, names.at(-1) ?? '');
  return { text, sha };
}

/** By digest: the last of the files, which says what the script does. */
const namesOfScripts = new Map<string, string>();

/** For people: what a command does. */
export function nameOfCommand([name, body]: Command): string {
  if (name === 'EVALSHA') return namesOfScripts.get(String(body)) ?? 'script';
  return name === 'EVAL' ? 'script' : name.toLowerCase();
}

/**
 * Runs a script, as often as there are calls. By digest, which the server usually has; with the text where it has lost it
 * (a restart, `SCRIPT FLUSH`). All calls have the same script, so it was known to all of them or to none, but for one that
 * is loaded in between; so a step that is called more than once at a time must be one that can be repeated.
 */
export async function evaluate(
  link: Pick<RedisLink, 'send'>,
  deadlineMs: number,
  script: Script,
  calls: readonly { readonly keys: readonly string[]; readonly args: readonly Argument[] }[],
): Promise<readonly Reply[]> {
  const commands = (name: string, body: string): Command[] =>
    calls.map(({ keys, args }) => [name, body, keys.length, ...keys, ...args]);
  try {
    return await link.send(deadlineMs, commands('EVALSHA', script.sha));
  } catch (error) {
    if (!(error instanceof StoreUnavailable && error.message.startsWith('NOSCRIPT'))) throw error;
    return await link.send(deadlineMs, commands('EVAL', script.text));
  }
}
