import asyncapiSchemas from '@asyncapi/specs';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Ajv, type ValidateFunction } from 'ajv';
import { describeLiveEvents } from '../../src/realtime/asyncapi.ts';
import { resources } from '../../src/resources/registry.ts';
import { referencesIn } from '../harness/json-references.ts';
import { eventually } from '../harness/eventually.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { ada, describeService, insertPost, serverStages } from '../harness/stage.ts';

type Message = { readonly name?: string; readonly payload: object; readonly headers?: object };
type Document = {
  readonly channels: { readonly live: { readonly messages: Readonly<Record<string, Message>>; 'x-handshake': object } };
  readonly operations: Readonly<Record<string, { readonly action: string }>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
};

const environment = { REALTIME_API_SECRET: 's' };
const headers = { 'x-internal-secret': 's' };
const clients: LiveClient[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

describe('the document', () => {
  // Its formats (uri, email) are of contact details, of which there are none here.
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const validate = ajv.compile({ ...asyncapiSchemas.schemasWithoutId['3.0.0'] } as object);
  const document = JSON.parse(JSON.stringify(describeLiveEvents(resources, '1.2.3')));

  test('is AsyncAPI 3.0', () => {
    expect(validate(document) ? [] : validate.errors).toEqual([]);
  });

  test('would be refused if it were none', () => {
    expect(validate({ ...document, operations: { x: { action: 'shout' } } })).toBe(false);
  });

  test('has no reference that leads nowhere', () => {
    const { count, dangling } = referencesIn(document);
    expect(count).toBeGreaterThan(20);
    expect(dangling).toEqual([]);
  });
});

/** Compiles what a message says of itself. */
function schemasOf(
  document: Document,
): (event: string) => { data: ValidateFunction; place: ValidateFunction | undefined } {
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, strictTypes: false });
  const { schemas } = document.components;
  const compile = (schema: object): ValidateFunction => ajv.compile({ ...schema, components: { schemas } });
  ajv.addVocabulary(['components']);
  const { messages } = document.channels.live;
  return (event) => {
    const message = Object.values(messages).find(({ name }) => name === event) ?? messages['message'];
    if (message === undefined) throw new Error('the document has no message for others');
    return {
      data: compile(message.payload),
      place: message.headers === undefined ? undefined : compile(message.headers),
    };
  };
}

async function connect(url: string, auth: Record<string, unknown>): Promise<LiveClient> {
  const client = await connectClient(url, { auth });
  clients.push(client);
  return client;
}

/** What a client hears that says it understands positions, as it came. */
async function listen(url: string, auth: Record<string, unknown> = { epoch: null }) {
  const client = await connect(url, auth);
  const heard: { event: string; data: unknown; place: unknown }[] = [];
  client.onRaw((event, data, place) => heard.push({ event, data, place }));
  const hears = (event: string): Promise<void> => eventually(async () => heard.some((each) => each.event === event));
  return { client, heard, hears };
}

describeService('what the document says', { environment }, (given) => {
  const fetchDocument = async (): Promise<Document> => {
    const { status, json, headers: sent } = await given.service.get('/asyncapi.json');
    expect([status, sent.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
    return json;
  };

  test('is what clients hear: each event was provoked, and its data and its position are as told', async () => {
    const document = await fetchDocument();
    const of = schemasOf(document);
    const service = await given.stage.beside({ environment });
    const { heard, hears } = await listen(service.url);
    // A row whose author and times are as odd as the tables allow.
    await insertPost(given.database, { id: 7, created_at: null, updated_at: null });
    const post = { title: 't', content: 'c', user_id: ada.id };
    const created = await service.request('POST', '/cache/posts', post);
    await service.request('PUT', '/cache/posts/7', { title: 'changed' });
    await service.request('DELETE', `/cache/posts/${created.json.data.id}`);
    await service.request('POST', '/internal/broadcast', { event: 'told', data: [1, null] }, headers);
    await hears('told');
    // Told at the end of the connection, and to those who come back.
    const again = await listen(service.url);
    await again.hears('energex:session');
    await service.stop();
    await hears('energex:drain');
    const all = [...heard, ...again.heard];
    for (const { event, data, place } of all) {
      const schemas = of(event);
      expect([event, data, schemas.data(data) ? [] : schemas.data.errors]).toEqual([event, data, []]);
      expect([event, place, place === undefined]).toEqual([event, place, schemas.place === undefined]);
      if (schemas.place !== undefined) expect(schemas.place(place) ? [] : schemas.place.errors).toEqual([]);
    }
    const sent = Object.keys(document.operations).filter((name) => document.operations[name]?.action === 'send');
    const names = sent.map((key) => document.channels.live.messages[key]?.name ?? key);
    const others = new Set(all.map(({ event }) => (names.includes(event) ? event : '*')));
    expect(names.filter((name) => !others.has(name))).toEqual([]);
  });

  test('is what clients may send: rooms, answers, handshakes', async () => {
    const document = await fetchDocument();
    const compile = (name: string): ValidateFunction =>
      new Ajv({ strictTypes: false }).compile(document.components.schemas[name] ?? false);
    const [room, answer, handshake] = [compile('room'), compile('answer'), compile('handshake')];
    const client = await connect(given.service.url, { epoch: null });
    for (const name of ['posts', 'post:42', 'users', 'post:0', 'post:', 'post:042', 'posts:1', '']) {
      const said = await client.ask('subscribe', name);
      expect(answer(said)).toBe(true);
      expect([name, Object(said).ok]).toEqual([name, room(name)]);
    }
    const left = await client.ask('unsubscribe', 'posts');
    expect([left, answer(left), answer({ ok: 1 })]).toEqual([{ ok: true }, true, false]);
    for (const auth of [{}, { epoch: null }, { epoch: 'e', offset: 1, rooms: ['posts'] }]) {
      expect(handshake(auth)).toBe(true);
    }
    expect(handshake({ epoch: 7 })).toBe(false);
  });
});

describeService('what an instance alone tells', { on: serverStages, environment }, (given) => {
  test('has a position of nulls, as the document says', async () => {
    const of = schemasOf((await given.service.get('/asyncapi.json')).json);
    const { service, toRedis } = await given.stage.behindProxies({ environment });
    const { heard, hears } = await listen(service.url);
    await toRedis.refuse();
    await service.request('POST', '/internal/broadcast', { event: 'told', data: 1 }, headers);
    await hears('told');
    await toRedis.restore();
    const place = heard.find(({ event }) => event === 'told')?.place;
    expect(place).toEqual({ epoch: null, offset: null, version: null });
    expect(of('told').place?.(place)).toBe(true);
  });
});
