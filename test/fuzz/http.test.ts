import { expect, test } from '@jest/globals';
import { checkAnswer } from '../harness/openapi-check.ts';
import type { Service } from '../harness/service.ts';
import { describeService, insertPost, type OnStage, stages } from '../harness/stage.ts';
import { campaign, campaignTimeoutMs } from './campaign.ts';
import { type Case, type Known, requests } from './requests.ts';
import { say, splitReplies } from './wire.ts';

/**
 * Every operation of the OpenAPI document, with what it allows and what it does not. Whatever comes, there is one answer, it is
 * one that the document tells of, and it is no fault; what is stored and what is answered stay the same.
 */
const secret = 'the secret of the backend';
const posts = 4;

async function learn(service: Service): Promise<Known> {
  const first = await service.get('/cache/posts?limit=2');
  const cursor = /after=([\w-]+)/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
  const item = await service.get('/cache/posts/1');
  const tag = item.headers.get('etag') ?? '';
  return { tags: [tag, `W/${tag}`, '*', `"x", ${tag}`], cursors: [cursor], secret };
}

function toBytes({ method, path, headers, body }: Case): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`;
  const head = `${method} ${path} HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\n${lines}${length}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body ?? Buffer.alloc(0)]);
}

/** Idempotency keys, with what their first answer was. */
type Replays = Map<string, string>;

async function expectGoodAnswer(service: Service, one: Case, replays: Replays): Promise<void> {
  const { text } = await say(service.port, { parts: [toBytes(one)], end: 'keep' }, 5_000);
  const replies = splitReplies(text, [one.method]);
  expect(replies).toHaveLength(1);
  const [reply] = replies;
  if (reply === undefined) return;
  const headers = new Headers(
    reply.head
      .split('\r\n')
      .slice(1)
      .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  );
  const body = Buffer.from(reply.body, 'latin1').toString();
  if (headers.get('content-encoding') === null) {
    checkAnswer(undefined, one.method, one.path, { status: reply.status, headers, text: body });
  }
  if (reply.status >= 400) expect(body).not.toMatch(/node_modules|\bat \w+ \(|\bER_[A-Z]+|SQLITE_/);
  if (reply.status >= 500 && one.method !== 'HEAD') {
    expect(['DATABASE_BUSY', 'DATABASE_UNAVAILABLE', 'COMMIT_UNKNOWN']).toContain(JSON.parse(body).code);
  }
  const key = one.headers.filter(([name]) => name === 'Idempotency-Key').map(([, value]) => value);
  if (one.method !== 'POST' || reply.status !== 201 || key.length !== 1) return;
  const [only = ''] = key;
  const isReplayed = headers.get('idempotent-replayed') === 'true';
  // What was written under a key is told again under that key alone.
  if (isReplayed && replays.has(only)) expect(body).toBe(replays.get(only));
  else if (!isReplayed) replays.set(only, body);
}

/** What is answered is what is stored. */
async function expectTruth({ service, database }: OnStage): Promise<void> {
  for (let id = 1; id <= posts; id += 1) {
    const rows = await database.query('SELECT title, content FROM posts WHERE id = ?', [id]);
    const answer = await service.get(`/cache/posts/${id}`);
    const [row] = rows;
    if (row === undefined) expect(answer.status).toBe(404);
    else expect([answer.json.data.title, answer.json.data.content]).toEqual(row);
  }
  expect((await service.get('/livez')).status).toBe(200);
}

const on = stages.slice(0, 2);

describeService('whatever is asked', { on, environment: { REALTIME_API_SECRET: secret } }, (given) => {
  test(
    'is answered as the document says',
    async () => {
      for (let id = 1; id <= posts; id += 1) await insertPost(given.database, { id });
      const replays: Replays = new Map();
      let count = 0;
      await campaign('HTTP', requests(await learn(given.service)), async (one) => {
        await expectGoodAnswer(given.service, one, replays);
        if ((count += 1) % 50 === 0) await expectTruth(given);
      });
      await expectTruth(given);
    },
    campaignTimeoutMs,
  );
});
