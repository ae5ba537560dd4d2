import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { connectClient } from '../harness/live-client.ts';
import { eventually } from '../harness/service.ts';
import { describeService, embeddedStage } from '../harness/stage.ts';
import { campaign, campaignTimeoutMs } from './campaign.ts';

/**
 * The handshake and the messages of live events, in shapes that no client sends: each of them is answered or cut, and whoever
 * behaves goes on hearing.
 */
const secret = 'the secret of the backend';

/** What Engine.IO and Socket.IO read of the query. */
const queries = fc
  .record(
    {
      EIO: fc.constantFrom('4', '3', '5', '', '4,4', '__proto__'),
      transport: fc.constantFrom('polling', 'websocket', 'webtransport', '', 'constructor', 'polling,websocket'),
      sid: fc.oneof(fc.constantFrom('', 'x', '__proto__', '../..'), fc.string({ maxLength: 30 })),
      b64: fc.constantFrom('1', '0'),
      t: fc.string({ maxLength: 10 }),
    },
    { requiredKeys: ['EIO', 'transport'] },
  )
  .map((query) => new URLSearchParams(query).toString());

const json = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.constantFrom(
    '',
    '[',
    'null',
    '[]',
    '[null]',
    '["subscribe"]',
    '["__proto__",{}]',
    '["disconnect"]',
    '["energex:session",{}]',
  ),
);

const rooms = fc.oneof(
  fc.constantFrom('posts', 'post:1', 'post:0', 'post:18446744073709551616', 'users', '', 'aware', '__proto__'),
  fc.jsonValue(),
);

/** Packets of Socket.IO in packets of Engine.IO, and what is neither. */
const messages: fc.Arbitrary<string | Uint8Array<ArrayBuffer>> = fc.oneof(
  json.map((text) => `40${text}`),
  fc
    .record({ epoch: fc.jsonValue(), offset: fc.jsonValue(), rooms: fc.array(rooms, { maxLength: 3 }) })
    .map((auth) => `40${JSON.stringify(auth)}`),
  fc
    .tuple(fc.constantFrom('subscribe', 'unsubscribe', 'other', 'connect', 'error'), rooms, fc.nat(99))
    .map(([event, room, ack]) => `42${ack}${JSON.stringify([event, room])}`),
  json.map((text) => `42${text}`),
  json.map((text) => `40/admin,${text}`),
  json.map((text) => `451-${text}`),
  fc.constantFrom(
    '41',
    '43',
    '430[]',
    '44',
    '45',
    '4',
    '3',
    '2',
    '2probe',
    '5',
    '6',
    '1',
    '0{}',
    '7',
    '459999999-["x"]',
    `42["subscribe","${'x'.repeat(70_000)}"]`,
  ),
  fc.string({ maxLength: 20 }),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => new Uint8Array(bytes)),
);

interface Stranger {
  readonly query: string;
  readonly body: string;
  readonly messages: readonly (string | Uint8Array<ArrayBuffer>)[];
}

const strangers: fc.Arbitrary<Stranger> = fc.record({
  query: queries,
  body: fc.oneof(json, fc.string({ maxLength: 30 })),
  messages: fc.array(messages, { minLength: 1, maxLength: 6 }),
});

/** Until all was sent, or the other side has had enough. */
async function talk(url: string, said: Stranger['messages']): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const ended = new Promise<void>((resolve) => {
    socket.addEventListener('close', () => resolve());
    socket.addEventListener('error', () => resolve());
  });
  const opened = new Promise<void>((resolve) => socket.addEventListener('open', () => resolve()));
  await Promise.race([opened, ended]);
  if (socket.readyState === WebSocket.OPEN) for (const message of said) socket.send(message);
  socket.close();
  await ended;
}

/** A handshake by polling, and packets without and with the session that it may have opened. Returns faults. */
async function poll(url: string, query: string, body: string): Promise<readonly string[]> {
  const ask = async (more: string, init: RequestInit): Promise<{ readonly status: number; readonly text: string }> => {
    const answer = await fetch(`${url}/socket.io/?${query}${more}`, init);
    return { status: answer.status, text: await answer.text() };
  };
  const opened = await ask('', {});
  const answers = [opened, await ask('', { method: 'POST', body })];
  const sid = /"sid":"([\w-]+)"/.exec(opened.text)?.[1];
  if (sid !== undefined) {
    // A session that nobody polls would be there for a while: the last packet ends it.
    for (const packets of [`40\u001e${body}`, '1'])
      answers.push(await ask(`&sid=${sid}`, { method: 'POST', body: packets }));
  }
  return answers
    .filter(({ status, text }) => status >= 500 || /node_modules|\bat \w+ \(/.test(text))
    .map(({ text }) => text);
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
}

const environment = { REALTIME_API_SECRET: secret, SOCKETS_PER_ADDRESS: '1000' };

describeService('strangers among live clients', { on: embeddedStage, environment }, (given) => {
  test(
    'are answered or cut, and the others go on hearing',
    async () => {
      const { service } = given;
      const timersBefore = timers();
      const client = await connectClient(service.url);
      let told = 0;
      await campaign('live events', strangers, async ({ query, body, messages: said }) => {
        expect(await poll(service.url, query, body)).toEqual([]);
        await talk(service.url, said);
        told += 1;
        const message = { event: 'told', data: told };
        const { status } = await service.request('POST', '/internal/broadcast', message, {
          'x-internal-secret': secret,
        });
        expect(status).toBe(200);
        await client.hears(told);
        expect(client.heard.at(-1)).toEqual(['told', told]);
      });
      client.close();
      // A session by polling that the server ends while nobody polls is kept for 30 s for a poll to tell of it (Engine.IO).
      await eventually(async () => timers() <= timersBefore, 40_000);
    },
    campaignTimeoutMs,
  );
});
