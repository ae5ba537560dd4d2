import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PageServer } from './page-server.ts';
import { runCommand } from './run-command.ts';

const root = join(import.meta.dirname, '..', '..');
const buildTimeoutMs = 120_000;

/** Builds the browser client into `folder`, as `npm run build:client` does into `client/dist/`. */
export async function buildClient(folder: string): Promise<void> {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const config = join(root, 'client', 'tsconfig.build.json');
  await runCommand(process.execPath, [compiler, '-p', config, '--outDir', folder], { timeoutMs: buildTimeoutMs });
}

/** Serves the built client as it is, and the one package that it needs: no bundler stands in between. */
export async function serveClient(pages: PageServer, folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.endsWith('.js')) pages.add(`/client/${name}`, await readFile(join(folder, name)));
  }
  const library = join(root, 'node_modules', 'socket.io-client', 'dist');
  pages.add('/socket.io-client.js', await readFile(join(library, 'socket.io.esm.min.js')));
  pages.add('/socket.io.min.js', await readFile(join(library, 'socket.io.min.js')));
}

/** For the head of a page: where its modules find the package. */
export const importMap = '<script type="importmap">{"imports":{"socket.io-client":"/socket.io-client.js"}}</script>';
