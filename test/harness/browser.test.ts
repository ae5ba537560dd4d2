import { existsSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { findChromium } from './binaries.ts';
import { startBrowser } from './browser.ts';
import { startPageServer } from './page-server.ts';
import { stopAfterEach } from './stops.ts';

const stops = stopAfterEach();

test('a browser shows a page, notes its errors, and leaves no profile', async () => {
  const pages = await startPageServer();
  stops.push(pages.stop);
  pages.add('/page.html', '<!doctype html><p>hello</p><script>throw new Error("on purpose")</script>');
  const browser = await startBrowser();
  stops.push(browser.stop);
  const page = await browser.open(`${pages.url}/page.html`);
  expect(await page.locator('p').textContent()).toBe('hello');
  expect(browser.complaints).toEqual(['Error: on purpose']);
  expect(browser.description).toMatch(/^Chromium \d+\./);
  expect(existsSync(browser.profile)).toBe(true);
  await browser.stop();
  expect(existsSync(browser.profile)).toBe(false);
}, 60_000);

test('what CHROMIUM_PATH names must be one', async () => {
  const before = process.env['CHROMIUM_PATH'];
  process.env['CHROMIUM_PATH'] = process.execPath;
  try {
    await expect(findChromium()).rejects.toThrow('is no Chromium: install chromium');
  } finally {
    if (before === undefined) delete process.env['CHROMIUM_PATH'];
    else process.env['CHROMIUM_PATH'] = before;
  }
});
