import { expect, jest, test } from '@jest/globals';
import { PreparedAnswer } from '../../src/http/prepared-answer.ts';
import { type Browser, startBrowser } from '../harness/browser.ts';
import { startPageServer } from '../harness/page-server.ts';
import { startService } from '../harness/service.ts';
import { stopAfterEach } from '../harness/stops.ts';

const notModified = jest.spyOn(PreparedAnswer.prototype, 'sendNotModified');
const stops = stopAfterEach();
const content = 'Grüße, 世界 🎉 '.repeat(2_000);

/** What a page gets of `url`, and what came over the wire for it. */
function reader(page: Awaited<ReturnType<Browser['open']>>, url: string) {
  return async (cache: 'default' | 'reload') => {
    const [response, answer] = await Promise.all([
      page.waitForResponse((each) => each.url() === url),
      page.evaluate(
        async (asked) => {
          const reply = await fetch(asked.url, { cache: asked.cache });
          return { status: reply.status, etag: reply.headers.get('etag'), text: await reply.text() };
        },
        { url, cache },
      ),
    ]);
    const coding = await response.headerValue('content-encoding');
    const isWhole = JSON.parse(answer.text).data.content === content;
    return { status: answer.status, etag: answer.etag, isWhole, coding, wire: response.status() };
  };
}

test('a browser takes each coding, with the end that is put behind it, and its own cache understands the tags', async () => {
  const pages = await startPageServer();
  stops.push(pages.stop);
  pages.add('/page.html', '<!doctype html><p>page</p>');
  const browser = await startBrowser();
  stops.push(browser.stop);
  for (const coding of ['br', 'gzip']) {
    const service = await startService({ COMPRESSION: coding, FRONTEND_URL: pages.url });
    stops.push(service.stop);
    const created = await service.request('POST', '/cache/posts', { title: 'long', content, user_id: 1 });
    const page = await browser.open(`${pages.url}/page.html`);
    const read = reader(page, `${service.url}/cache/posts/${created.json.data.id}`);
    let answer = await read('reload');
    for (let count = 0; count < 50 && answer.coding === null; count += 1) answer = await read('reload');
    const wanted = { status: 200, isWhole: true, etag: expect.stringMatching(new RegExp(`-${coding}"$`)) };
    expect(answer).toEqual({ ...wanted, coding, wire: 200 });
    // What the browser has stored is fresh again by a 304 that names its tag.
    notModified.mockClear();
    for (let time = 0; time < 2; time += 1) {
      expect(await read('default')).toMatchObject({ ...wanted, etag: answer.etag });
    }
    expect(notModified.mock.calls.map((given) => given.at(-1))).toEqual([coding, coding]);
  }
  expect(browser.complaints).toEqual([]);
}, 120_000);
