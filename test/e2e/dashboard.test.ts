import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { root } from '../../scripts/docs/generated.ts';
import { type Browser, startBrowser } from '../harness/browser.ts';
import { runCommand } from '../harness/run-command.ts';
import { eventually, startService } from '../harness/service.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** The dashboard in a real browser, as operators see it. With `TEST_SCREENSHOTS` it makes the pictures of the documents. */

const stops = stopAfterEach();
let browser: Browser;
/** What the console of any page said that is no good. */
const complaints: string[] = [];

beforeAll(async () => {
  const bundler = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  await runCommand(process.execPath, [bundler, 'build', join(root, 'dashboard')], { timeoutMs: 120_000 });
  browser = await startBrowser();
}, 180_000);
afterAll(() => browser.stop());
beforeEach(() => {
  complaints.length = 0;
});

async function open(url: string, size = { width: 1_400, height: 1_000 }): Promise<Page> {
  const page = await browser.open('about:blank');
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) complaints.push(`asked another host: ${request.url()}`);
  });
  await page.setViewportSize(size);
  await page.goto(`${url}/dashboard`);
  stops.push(() => page.close());
  return page;
}

/** Reads that hit, and some that miss, until it is stopped. */
function startLoad(url: string): void {
  const stop = new AbortController();
  const read = async (path: string): Promise<void> => {
    const answer = await fetch(url + path).catch(() => undefined);
    await answer?.text();
  };
  const run = async (): Promise<void> => {
    for (let count = 0; !stop.signal.aborted; count += 1) {
      await read(`/cache/posts/${1 + (count % 5)}`);
      if (count % 10 === 0) await read('/cache/posts');
    }
  };
  const running = Promise.all([run(), run()]);
  stops.push(async () => {
    stop.abort();
    await running;
  });
}

const numberIn = async (page: Page, tile: string): Promise<number> =>
  Number.parseFloat((await page.locator('.tile', { hasText: tile }).locator('dd').textContent()) ?? '');

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate(() => Reflect.get(globalThis, 'axe').run());
  const serious = found.filter(({ impact }: { impact: string }) => impact === 'serious' || impact === 'critical');
  return serious.map(({ id, nodes }: { id: string; nodes: { html: string }[] }) => `${id}: ${nodes[0]?.html}`);
}

async function shoot(page: Page, name: string): Promise<void> {
  if (process.env['TEST_SCREENSHOTS'] === undefined) return;
  await mkdir(join(root, 'docs', 'images'), { recursive: true });
  await page.screenshot({ path: join(root, 'docs', 'images', `${name}.png`), fullPage: true });
}

test('charts move under load, keys are found and invalidated, a request shows where its answer came from', async () => {
  const service = await startService({});
  stops.push(service.stop);
  const page = await open(service.url);
  startLoad(service.url);
  const rate = page.getByRole('img', { name: /^Requests per second/ });
  await eventually(async () => Number(await rate.getAttribute('data-points')) >= 8, 30_000);
  expect(await rate.getAttribute('aria-label')).toMatch(/all [1-9]/);
  // The line is drawn: some pixels of the canvas have its colour.
  const isDrawn = await rate.locator('canvas').evaluate((element) => {
    // The types of the browser are not those of the tests.
    const canvas = element as unknown as {
      readonly width: number;
      readonly height: number;
      getContext(kind: '2d'): { getImageData(...of: number[]): { readonly data: Iterable<number> } };
    };
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return [...data].some((value) => value !== 0);
  });
  expect(isDrawn).toBe(true);
  await eventually(
    async () => (await numberIn(page, 'Requests/s')) > 0 && (await numberIn(page, 'Hit ratio')) > 50,
    20_000,
  );

  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByRole('button', { name: 'post:2', exact: true }).click();
  const detail = page.getByRole('article', { name: 'The key post:2' });
  await eventually(async () => (await detail.textContent())?.includes('Read it twice') === true);
  await detail.getByRole('button', { name: 'Invalidate' }).click();
  await page.getByText('Invalidated: post:2, posts:rows:0, posts:all').waitFor();

  await page.getByRole('textbox', { name: 'Path' }).fill('/cache/posts/3');
  await page.getByRole('button', { name: 'Send' }).click();
  await page
    .locator('.answer')
    .getByText(/^source: (?:cache|database)$/)
    .waitFor();
  await eventually(
    async () => (await page.getByLabel('Body of the answer').textContent())?.includes('Change it') === true,
  );
  await shoot(page, 'dashboard');
  expect(await violations(page)).toEqual([]);

  await page.getByRole('button', { name: 'Use the dark theme' }).click();
  await page.getByRole('button', { name: 'Use the light theme' }).waitFor();
  await eventually(async () => Number(await rate.getAttribute('data-points')) >= 8, 30_000);
  await shoot(page, 'dashboard-dark');
  expect(await violations(page)).toEqual([]);
  expect([...complaints, ...browser.complaints]).toEqual([]);
}, 120_000);

test('a change made elsewhere appears without a reload; it goes on when the service comes back', async () => {
  const service = await startService({});
  const page = await open(service.url);
  const events = page.getByRole('list', { name: 'Events, the newest first' });
  const state = page.getByRole('region', { name: 'Live events' }).locator('.pill');
  await eventually(async () => (await state.textContent()) === 'live');
  await service.request('PUT', '/cache/posts/1', { title: 'Changed elsewhere' });
  await events.getByText('post_updated').waitFor();
  await events.getByText('Changed elsewhere').waitFor();

  await service.stop();
  await eventually(async () => (await state.textContent()) === 'offline', 20_000);
  await page.getByText(/^no figures/).waitFor();
  const again = await startService({ PORT: String(service.port) });
  stops.push(again.stop);
  await eventually(async () => (await state.textContent()) === 'live', 40_000);
  await page.getByText('connected', { exact: true }).waitFor();
  await again.request('PUT', '/cache/posts/1', { title: 'Changed again' });
  await events.getByText('Changed again').waitFor();
}, 120_000);

test('operators log in with the keyboard, and out; a wrong secret is told', async () => {
  const service = await startService({ OPERATOR_SECRET: 'open sesame' });
  stops.push(service.stop);
  const page = await open(service.url, { width: 400, height: 800 });
  await page.getByLabel("Operator's secret").focus();
  await page.keyboard.type('wrong');
  await page.keyboard.press('Enter');
  await page.getByText("That is not the operator's secret").waitFor();
  expect(await violations(page)).toEqual([]);
  await page.getByLabel("Operator's secret").fill('open sesame');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Log out' }).waitFor();
  const state = page.getByRole('region', { name: 'Live events' }).locator('.pill');
  await eventually(async () => (await state.textContent()) === 'live', 20_000);
  // On a telephone nothing is wider than the screen.
  expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByLabel("Operator's secret").waitFor();
  expect((await page.context().cookies()).filter(({ name }) => name === 'energex_operator')).toEqual([]);
}, 90_000);
