import { checkConfig, type Environment, readEnvironment, sourceOf } from '../config.ts';
import type { Option } from '../option-kinds.ts';
import { options } from '../options.ts';
import type { Verb } from './verb.ts';

export const configPrint: Verb = {
  name: 'config print',
  summary: 'print every setting, its value and where that comes from',
  details: [
    'Secrets are hidden. A setting that is wrong is printed with its default; `config check` says what is wrong.',
  ],
  run: async ({ output }) => {
    const settings = describeSettings(readEnvironment());
    const width = Math.max(...settings.map(({ name }) => name.length));
    const lines = settings.map(({ name, shown, source }) => `${name.padEnd(width)}  ${shown}  (${source})`);
    const document = Object.fromEntries(
      settings.map(({ name, value, source, isSecret }) => [name, { value, source, secret: isSecret }]),
    );
    output.show(document, lines);
    return 'done';
  },
};

interface Described {
  readonly name: string;
  /** Hidden when it is secret; `null` when it is not set. */
  readonly value: unknown;
  readonly shown: string;
  readonly source: string;
  readonly isSecret: boolean;
}

const hidden = '[secret]';

function describeSettings(environment: Environment): Described[] {
  const { settings } = checkConfig(environment);
  const known: Readonly<Record<string, Option<unknown>>> = options;
  return Object.entries(settings).map(([name, value]) => {
    const isSecret = known[name]?.secret === true;
    const isNone = value === undefined || value === '';
    const told = isNone ? null : isSecret ? hidden : withoutPassword(value);
    return { name, value: told, shown: toText(told), source: sourceOf(name, environment), isSecret };
  });
}

/** A URL that is no secret may have one in it all the same. */
function withoutPassword(value: unknown): unknown {
  if (!(value instanceof URL)) return value;
  const shown = new URL(value);
  if (shown.password !== '') shown.password = 'secret';
  return shown.href;
}

function toText(value: unknown): string {
  if (value === null) return 'not set';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(toText).join(',');
  if (typeof value === 'object' && value !== null && 'host' in value && 'port' in value) {
    return `${String(value.host)}:${String(value.port)}`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
