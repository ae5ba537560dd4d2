#!/usr/bin/env node
import { runCommandLine, wantsJson } from './commands/command-line.ts';
import { exitCodes } from './commands/verb.ts';
import { verbs } from './commands/verbs.ts';
import { CatalogueError, describeError } from './errors.ts';

/** One sentence for what the catalogue knows; anything else is a bug and shows its stack. */
function explain(error: unknown): unknown {
  if (!(error instanceof CatalogueError)) return error;
  if (error.code === 'USAGE') return `${error.message} (energex-cache --help shows the usage)`;
  const cause = error.cause === undefined ? '' : describeError(error.cause);
  return error.message.includes(cause) ? error.message : `${error.message} (${cause})`;
}

const args = process.argv.slice(2);
try {
  process.exitCode = exitCodes[await runCommandLine(args, verbs)].code;
} catch (error) {
  const code = error instanceof CatalogueError ? error.code : 'INTERNAL';
  if (wantsJson(args)) console.log(JSON.stringify({ error: { code, message: describeError(error) } }));
  console.error(explain(error));
  // Not only the code: what was opened before the error would keep the process.
  process.exit(exitCodes[code === 'USAGE' ? 'usage' : 'failed'].code);
}
