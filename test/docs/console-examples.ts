import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { canInstallPackages, installPackages } from '../harness/debian-packages.ts';
import { fencedBlocks } from './documents.ts';

/** A command of a document, and what it must print. */
export type Example = { readonly command: string; readonly expected: string };

/**
 * The examples of the ```console blocks. A line that begins with `$ ` is a command, which goes on in the next line when
 * it ends with a backslash; what follows is its answer, up to the next command.
 */
export function examplesOf(text: string): Example[] {
  return fencedBlocks(text, 'console').flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((one) => {
        const [, command = '', expected = ''] = /^((?:[^\n]*\\\n)*[^\n]*)\n(.*)$/s.exec(one) ?? [];
        return { command, expected: expected.trimEnd() };
      }),
  );
}

/** Whether `printed` is what was expected: `…` stands for any text of a line, and alone in a line for any lines. */
export function answers(expected: string, printed: string): boolean {
  const lines = expected.split('\n').map((line) => (line === '…' ? '(?:.*\n)*?' : `${lineOf(line)}\n`));
  return new RegExp(`^${lines.join('')}$`).test(`${printed.replaceAll('\r', '').trimEnd()}\n`);
}

function lineOf(line: string): string {
  return line
    .split('…')
    .map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('.*');
}

const run = promisify(execFile);

/** Runs a command of an example in a shell in `folder`, with `localhost:4000` standing for `at`. */
export async function runExample(command: string, at: { host: string; folder: string }): Promise<string> {
  const { stdout } = await run('/bin/sh', ['-c', command.replaceAll('localhost:4000', at.host)], {
    cwd: at.folder,
    timeout: 20_000,
    // A proxy of the surroundings knows nothing of this machine's loopback.
    env: { PATH: process.env['PATH'], no_proxy: '*' },
  });
  return stdout;
}

/** Sees to it that there is curl. */
export async function requireCurl(): Promise<void> {
  const hasCurl = (): Promise<boolean> =>
    run('curl', ['--version']).then(
      () => true,
      () => false,
    );
  if (await hasCurl()) return;
  if (await canInstallPackages()) await installPackages(['curl']);
  if (!(await hasCurl()))
    throw new Error('the examples of the README need curl: install it (Debian: apt-get install curl)');
}
