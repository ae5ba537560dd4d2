import { commonFlags, exitsOf } from '../../src/commands/command-line.ts';
import { exitCodes, type Flag, type Verb } from '../../src/commands/verb.ts';
import { verbs } from '../../src/commands/verbs.ts';
import { code, table } from './sections.ts';

/** Every verb, as its help tells it. */
export function renderVerbs(): string {
  const overview = verbs.map(({ name, summary }) => [`[${code(name)}](#${name.replaceAll(' ', '-')})`, summary]);
  return [table(['verb', 'what it does'], overview), ...verbs.map(renderVerb)].join('\n\n');
}

export function renderExitCodes(): string {
  return table(
    ['exit code', 'meaning'],
    Object.values(exitCodes).map(({ code: number, meaning }) => [code(String(number)), meaning]),
  );
}

/** The line of a verb in the README. */
export function renderVerbList(): string {
  return table(
    ['command', 'what it does'],
    verbs.map((verb) => [code(usageOf(verb)), verb.summary]),
  );
}

function renderVerb(verb: Verb): string {
  const { name, summary, details = [], argument, flags = [] } = verb;
  const codes = exitsOf(verb).map((each) => code(String(exitCodes[each].code)));
  return [
    `### ${name}`,
    `${code(`energex-cache ${usageOf(verb)}`)}: ${summary}.`,
    ...(argument === undefined ? [] : [`${code(argument.name)} is ${argument.description}.`]),
    ...details,
    ...(flags.length === 0 ? [] : [renderFlags(flags)]),
    `Exit codes: ${codes.join(', ')}.`,
  ].join('\n\n');
}

function usageOf({ name, argument, flags = [] }: Verb): string {
  const inBrackets = argument === undefined ? [] : [argument.isRequired ? `<${argument.name}>` : `[${argument.name}]`];
  return [name, ...inBrackets, ...flags.map((flag) => `[${shown(flag)}]`)].join(' ');
}

export function renderCommonFlags(): string {
  return renderFlags([...commonFlags, { name: 'help', description: 'print what is written here, and do nothing' }]);
}

function renderFlags(flags: readonly Flag[]): string {
  const rows = flags.map((flag) => [code(shown(flag)), flag.standard ?? '', flag.description]);
  return table(['flag', 'default', 'meaning'], rows);
}

function shown({ name, value }: Flag): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}
