import { Command, CommanderError } from 'commander';
import { describeError } from '../errors.ts';
import { Output } from './output.ts';
import { type ExitName, exitCodes, type Flag, type Given, usageError, type Verb } from './verb.ts';

/** What every verb takes. */
export const commonFlags: readonly Flag[] = [
  { name: 'json', description: 'print JSON for programs; what is no result goes to standard error' },
];

const about = 'Settings come from the environment or a .env file: docs/configuration.md.';

/**
 * Runs the verb that `args` name, `serve` when they name none, and resolves with how it ended. Rejects with `CatalogueError`
 * `USAGE`, or with what the verb rejects with.
 */
export async function runCommandLine(args: readonly string[], verbs: readonly Verb[]): Promise<ExitName> {
  let exit: ExitName | undefined;
  const program = buildProgram(verbs, async (verb, given) => {
    exit = await verb.run(given);
  });
  try {
    await program.parseAsync(withVerb(args), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return 'done';
    throw usageError(reasonOf(error, args, verbs));
  }
  return exit ?? 'done';
}

/** Whether `--json` was asked for, also where the rest of the command line is wrong. */
export function wantsJson(args: readonly string[]): boolean {
  return args.includes('--json');
}

function withVerb(args: readonly string[]): string[] {
  const [first] = args;
  if (first === '--help' || first === '-h') return [...args];
  return first === undefined || first.startsWith('-') ? ['serve', ...args] : [...args];
}

/** As one sentence. */
function reasonOf(error: CommanderError, args: readonly string[], verbs: readonly Verb[]): string {
  const [group = ''] = args;
  const members = verbs.flatMap(({ name }) => (name.startsWith(`${group} `) ? [name] : []));
  if (error.code === 'commander.help') return `"${group}" is not enough: ${members.join(' or ')}`;
  const text = describeError(error)
    .replace(/^error: /, '')
    .replace(/\s*\(Did you mean (.*)\?\)$/s, ' (did you mean $1?)')
    .replaceAll(/\s+/g, ' ');
  return capitalized(text);
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function buildProgram(verbs: readonly Verb[], run: (verb: Verb, given: Given) => Promise<void>): Command {
  const program = new Command('energex-cache');
  strictly(program).description('Read-through cache in front of MySQL. Without a verb it serves.');
  program.addHelpText('after', `\n${about}`);
  const groups = new Map<string, Command>();
  for (const verb of verbs) {
    const [first = '', second] = verb.name.split(' ');
    const group = groups.get(first) ?? (second === undefined ? program : strictly(program.command(first)));
    if (second !== undefined) groups.set(first, group);
    addVerb(strictly(group.command(second ?? first)), verb, run);
  }
  for (const group of groups.values()) group.description(group.commands.map((each) => each.name()).join(', '));
  return program;
}

/** Errors are thrown and told by the caller, in one sentence; nothing is guessed. */
function strictly(command: Command): Command {
  return command
    .exitOverride()
    .helpCommand(false)
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => undefined });
}

function addVerb(command: Command, verb: Verb, run: (verb: Verb, given: Given) => Promise<void>): void {
  command.description([`${capitalized(verb.summary)}.`, ...(verb.details ?? [])].join('\n\n')).summary(verb.summary);
  const { argument } = verb;
  if (argument !== undefined) {
    command.argument(argument.isRequired ? `<${argument.name}>` : `[${argument.name}]`, argument.description);
  }
  for (const { name, value, description, standard } of flagsOf(verb)) {
    const shown = standard === undefined ? description : `${description} (default: ${standard})`;
    command.option(value === undefined ? `--${name}` : `--${name} <${value}>`, shown);
  }
  command.addHelpText(
    'after',
    `\nExit codes: ${exitsOf(verb)
      .map((name) => exitCodes[name].code)
      .join(', ')}`,
  );
  command.action(async () => {
    const flags: Given['flags'] = toFlags(verb, command.opts());
    const isJson = flags['json'] === true;
    const output = new Output({ isJson, stdout: process.stdout, stderr: process.stderr });
    await run(verb, { argument: command.args[0], flags, output });
  });
}

export function flagsOf({ flags = [] }: Verb): readonly Flag[] {
  return [...flags, ...commonFlags];
}

export function exitsOf({ exits = [] }: Verb): readonly ExitName[] {
  return ['done', 'failed', 'usage', ...exits];
}

/** Under the names of the table: commander writes them in camel case. */
function toFlags(verb: Verb, options: Readonly<Record<string, unknown>>): Given['flags'] {
  return Object.fromEntries(
    flagsOf(verb).map(({ name }) => {
      const value = options[name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())];
      return [name, value === true || typeof value === 'string' ? value : undefined];
    }),
  );
}
