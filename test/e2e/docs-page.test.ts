import { expect, test } from '@jest/globals';
import { operationsOf } from '../../src/http/openapi/document.ts';
import { resources } from '../../src/resources/registry.ts';
import { startBrowser } from '../harness/browser.ts';
import { eventually, startService } from '../harness/service.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** `/docs` in a real browser: what people see of the OpenAPI document. */

const stops = stopAfterEach();

test('the page shows every operation, and tries one; its policy stands in the way of nothing', async () => {
  const service = await startService({});
  stops.push(service.stop);
  const browser = await startBrowser();
  stops.push(browser.stop);
  const page = await browser.open('about:blank');
  const violations: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') violations.push(message.text());
  });
  const asked: string[] = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  await page.goto(`${service.url}/docs`);
  const operations = page.locator('.opblock');
  await eventually(async () => (await operations.count()) === operationsOf(resources).length, 20_000);
  await page.locator('#operations-posts-getPost .opblock-summary-control').click();
  await page.locator('#operations-posts-getPost .parameters input').first().fill('1');
  await page.locator('#operations-posts-getPost button.execute').click();
  const answer = page.locator('#operations-posts-getPost .live-responses-table .response-col_description pre').first();
  await eventually(async () => (await answer.textContent())?.includes('Welcome to EnergeX') === true, 20_000);
  expect(new Set(asked)).toEqual(new Set([service.url]));
  expect([...violations, ...browser.complaints]).toEqual([]);
}, 90_000);

test('its files are served, and nothing else is below it', async () => {
  const service = await startService({});
  stops.push(service.stop);
  const page = await service.get('/docs');
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
  expect((await service.get('/docs/static/swagger-ui-bundle.js')).status).toBe(200);
  for (const path of ['/docs/static/../../package.json', '/docs/static/%2e%2e/package.json', '/docs/nothing']) {
    const reply = await service.get(path);
    expect([path, reply.status, reply.json.code]).toEqual([path, 404, 'ROUTE_NOT_FOUND']);
  }
  expect((await service.request('POST', '/docs')).headers.get('allow')).toBe('GET, HEAD, OPTIONS');
});
