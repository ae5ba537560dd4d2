import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/docs/generated.ts';

/** A document of the project; `file` is its path from the root. */
export type Document = { readonly file: string; readonly text: string };

/** The documents written for people: those of the root, those of docs/ and that of the browser client. */
export const documents: readonly Document[] = ['.', 'docs', 'client'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
    .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') })),
);

export function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** Files below a folder, as paths from the root with forward slashes, those with the given ending. */
export function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`);
}

/** What stands between single backticks, outside of fenced blocks. */
export function inlineCode(text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```$/gms, '');
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? '');
}

/** The contents of the fenced blocks of a language. */
export function fencedBlocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, named]) => named === language)
    .map(([, , content]) => content ?? '');
}
