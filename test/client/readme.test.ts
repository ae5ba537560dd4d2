import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { root } from '../../scripts/docs/generated.ts';
import { fencedBlocks, textOf } from '../docs/documents.ts';
import { startBrowser } from '../harness/browser.ts';
import { buildClient } from '../harness/client-build.ts';
import { startPageServer } from '../harness/page-server.ts';
import { runCommand } from '../harness/run-command.ts';
import { eventually, startService } from '../harness/service.ts';

/** The examples of the client's README, with the package as it is built: its `exports` lead to what they import. */

const dist = join(root, 'client', 'dist');
const readme = textOf('client/README.md');
const blocks = [
  ...fencedBlocks(readme, 'ts').map((text, index) => ({ name: `example-${index + 1}.ts`, text })),
  ...fencedBlocks(readme, 'tsx').map((text, index) => ({ name: `page-${index + 1}.tsx`, text })),
];
let folder: string;

beforeAll(async () => {
  await buildClient(dist);
  await mkdir(dist, { recursive: true });
  // Inside of the package, so that its own name leads to it.
  folder = await mkdtemp(join(dist, 'readme-'));
  for (const { name, text } of blocks) await writeFile(join(folder, name), text);
  const compilerOptions = { jsx: 'react-jsx', noUnusedLocals: false, rootDir: '.' };
  const config = { extends: '../../tsconfig.json', compilerOptions, include: ['*'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
}, 120_000);

afterAll(() => rm(folder, { recursive: true }));

test('there are examples', () => {
  expect(blocks.length).toBeGreaterThanOrEqual(4);
});

test('they compile', async () => {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  await runCommand(process.execPath, [compiler, '-p', folder], { timeoutMs: 60_000 });
}, 60_000);

test('that of React shows posts, and follows them', async () => {
  const pages = await startPageServer();
  const service = await startService({ FRONTEND_URL: pages.url });
  const browser = await startBrowser();
  try {
    const [example = ''] = fencedBlocks(readme, 'tsx');
    expect(example).toContain("'http://localhost:4000'");
    await writeFile(join(folder, 'page-1.tsx'), example.replace('http://localhost:4000', service.url));
    const bundler = join(root, 'node_modules', 'esbuild', 'bin', 'esbuild');
    const options = ['--bundle', '--format=esm', '--jsx=automatic', '--define:process.env.NODE_ENV="production"'];
    const args = [bundler, join(folder, 'page-1.tsx'), ...options];
    pages.add('/page.js', await runCommand(process.execPath, args, { timeoutMs: 60_000 }));
    pages.add('/page.html', '<!doctype html><div id="root"></div><script type="module" src="/page.js"></script>');
    const page = await browser.open(`${pages.url}/page.html`);
    const shown = (): Promise<string[]> => page.locator('li').allTextContents();
    await eventually(async () => (await shown()).includes('Read it twice, by Grace Hopper'), 20_000);
    await eventually(async () => (await page.locator('section > p').textContent()) === 'live');
    await service.request('PUT', '/cache/posts/2', { title: 'Changed' });
    await eventually(async () => (await shown()).includes('Changed, by Grace Hopper'));
    await service.request('DELETE', '/cache/posts/3');
    await eventually(async () => (await shown()).length === 2);
    expect(browser.complaints).toEqual([]);
  } finally {
    await browser.stop();
    await service.stop();
    await pages.stop();
  }
}, 120_000);
