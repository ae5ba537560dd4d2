import { parse } from 'yaml';
import { textOf } from '../docs/documents.ts';

/** What compose.yaml says, with the example of its env file filled in, as `docker compose config` would have it. */
export type ComposeService = {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>> | readonly string[];
  readonly volumes?: readonly string[];
  readonly [other: string]: unknown;
};

export const secretsFile = 'deploy/compose/energex.env.example';

export const composeVariables: Readonly<Record<string, string>> = Object.fromEntries(
  textOf(secretsFile)
    .split('\n')
    .filter((line) => /^[A-Z_]+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);

export const composeServices: Readonly<Record<string, ComposeService>> = parse(
  interpolate(textOf('compose.yaml'), composeVariables),
  { merge: true },
).services;

/** `${NAME:?why}` and `${NAME:-standard}`; `$$` is a dollar. */
function interpolate(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(?:\$|\{([A-Z_]+)(?::([-?])([^}]*))?\})/g, (_, name = '', kind = '', rest = '') => {
    if (name === '') return '$';
    const value = variables[name] ?? '';
    if (value !== '') return value;
    if (kind !== '-') throw new Error(`${secretsFile} does not have ${name}: ${rest}`);
    return rest;
  });
}
