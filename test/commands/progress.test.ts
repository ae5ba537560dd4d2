import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import { withProgress } from '../../src/commands/progress.ts';

/** How the verb `seed` shows its progress. */

class Screen extends Writable {
  readonly isTTY: boolean;
  readonly columns = 80;
  text = '';

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  override _write(bytes: Buffer, _: string, done: () => void): void {
    this.text += String(bytes);
    done();
  }

  cursorTo(column: number): void {
    this.write(`\u001b[${column + 1}G`);
  }

  moveCursor(): void {}

  clearLine(): void {
    this.write('\u001b[2K');
  }
}

async function show(screen: Screen, steps: readonly number[], total: number): Promise<string> {
  const result = await withProgress(
    'posts',
    total,
    async (report) => {
      for (const step of steps) report(step);
      return 'done';
    },
    screen,
  );
  expect(result).toBe('done');
  return screen.text;
}

describe('off a terminal', () => {
  test('a line for every tenth part, and nothing but text', async () => {
    const steps = Array.from({ length: 40 }, (_, index) => (index + 1) * 5);
    const text = await show(new Screen(false), steps, 200);
    expect(text).toBe(Array.from({ length: 10 }, (_, tenth) => `posts: ${(tenth + 1) * 20} of 200\n`).join(''));
  });

  test('fewer where the work goes in larger steps', async () => {
    expect(await show(new Screen(false), [500, 700], 700)).toBe('posts: 500 of 700\nposts: 700 of 700\n');
  });
});

describe('on a terminal', () => {
  test('a bar that ends full, and the cursor comes back', async () => {
    const text = await show(new Screen(true), [1, 2], 2);
    expect(text).toMatch(/posts \S* 0 of 2/);
    expect(text).toMatch(/posts \S+ 2 of 2/);
    expect(text).not.toContain('posts: ');
    expect(text.lastIndexOf('\u001b[?25h')).toBeGreaterThan(text.lastIndexOf('\u001b[?25l'));
  });

  test('the cursor comes back after a failure too', async () => {
    const screen = new Screen(true);
    const failing = withProgress('posts', 2, async () => Promise.reject(new Error('no more')), screen);
    await expect(failing).rejects.toThrow('no more');
    expect(screen.text.lastIndexOf('\u001b[?25h')).toBeGreaterThan(screen.text.lastIndexOf('\u001b[?25l'));
  });
});

const script = '/usr/bin/script';
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

// util-linux gives the program a terminal of its own; its namesakes elsewhere take other arguments.
(process.platform === 'linux' && existsSync(script) ? test : test.skip)(
  'the program itself draws bars on a terminal',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-data-'));
    folders.push(folder);
    const entry = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
    const command = `'${process.execPath}' '${entry}' seed --posts 1000 --users 10`;
    const child = spawn(script, ['--quiet', '--return', '--command', command, '/dev/null'], {
      cwd: folder,
      env: { PATH: process.env['PATH'], TERM: 'xterm', EMBEDDED_DATA: 'posts.db' },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 25_000,
    });
    let text = '';
    child.stdout.on('data', (bytes) => {
      text += String(bytes);
    });
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(text).toMatch(/users \S+ 10 of 10/);
    expect(text).toMatch(/posts \S+ 1000 of 1000/);
    expect(text).not.toMatch(/posts: \d/);
  },
);
