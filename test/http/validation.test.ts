import { expect, test } from '@jest/globals';
import type { Reply } from '../harness/service.ts';
import { describeService, embeddedStage, insertPost, type OnStage } from '../harness/stage.ts';

/** Bodies that are refused before the database is asked, so the embedded default stands for all. */

const valid = { title: 'A title', content: 'Some content', user_id: 1 };
const idSentence = 'user_id must be the id of a row: a positive integer (beyond 2^53 as a string of digits)';
const surrogate = 'must be well-formed Unicode (it has half of a surrogate pair)';

async function refused(given: OnStage, method: string, body: unknown): Promise<Reply> {
  const reply = await given.service.request(method, method === 'POST' ? '/cache/posts' : '/cache/posts/1', body);
  expect(reply.status).toBe(400);
  expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  return reply;
}

describeService('refused bodies', { on: embeddedStage }, (given) => {
  test.each<[string, unknown, Record<string, string>]>([
    ['no title', { content: 'c', user_id: 1 }, { title: 'title is required' }],
    ['no content', { title: 't', user_id: 1 }, { content: 'content is required' }],
    ['no user_id', { title: 't', content: 'c' }, { user_id: 'user_id is required' }],
    [
      'no field at all',
      {},
      { title: 'title is required', content: 'content is required', user_id: 'user_id is required' },
    ],
    [
      'null everywhere',
      { title: null, content: null, user_id: null },
      {
        title: 'title must be a string',
        content: 'content must be a string',
        user_id: 'user_id must be an integer or a string',
      },
    ],
    [
      'empty and blank text',
      { title: '', content: ' \t\n\u00a0\u3000', user_id: 1 },
      { title: 'title must not be blank', content: 'content must not be blank' },
    ],
    [
      'wrong types',
      { title: 5, content: ['c'], user_id: true },
      {
        title: 'title must be a string',
        content: 'content must be a string',
        user_id: 'user_id must be an integer or a string',
      },
    ],
    ['an object as title', { ...valid, title: { toString: 't' } }, { title: 'title must be a string' }],
    ['a lone high surrogate', '{"title":"a\\ud800","content":"c","user_id":1}', { title: `title ${surrogate}` }],
    ['a lone low surrogate', '{"title":"t","content":"\\udc00 b","user_id":1}', { content: `content ${surrogate}` }],
    [
      'surrogates the wrong way round',
      '{"title":"\\udc00\\ud800","content":"c","user_id":1}',
      { title: `title ${surrogate}` },
    ],
  ])('POST with %s names each field', async (_, body, errors) => {
    const reply = await refused(given, 'POST', body);
    const { json } = reply;
    expect(json.code).toBe('VALIDATION_FAILED');
    const named = json.errors.map(({ field, message }: { field: string; message: string }) => [field, message]);
    expect(Object.fromEntries(named)).toEqual(errors);
    expect(named).toHaveLength(Object.keys(errors).length);
    expect(json.message.split('; ').toSorted()).toEqual(Object.values(errors).toSorted());
  });

  test.each([0, -1, 2 ** 53, '0', '-1', '1.5', '1e3', ' 1', '01', '', 'abc', '18446744073709551616', '9'.repeat(400)])(
    'user_id %j is no id',
    async (userId) => {
      expect((await refused(given, 'POST', { ...valid, user_id: userId })).json.message).toBe(idSentence);
      expect((await refused(given, 'DELETE', { user_id: userId })).json.message).toBe(idSentence);
    },
  );

  test.each(['9007199254740993', '1e400', '-0'])(
    'user_id %s, a number that JSON.parse does not keep, is no id',
    async (digits) => {
      await refused(given, 'POST', `{"title":"t","content":"c","user_id":${digits}}`);
      await refused(given, 'DELETE', `{"user_id":${digits}}`);
    },
  );

  test.each([1.5, null, [], {}, [1], true])('user_id %j is of the wrong type', async (userId) => {
    const sentence = 'user_id must be an integer or a string';
    expect((await refused(given, 'POST', { ...valid, user_id: userId })).json.message).toBe(sentence);
    expect((await refused(given, 'DELETE', { user_id: userId })).json.message).toBe(sentence);
  });

  test.each(['[]', '"text"', '5', 'true', '[{"title":"t"}]'])(
    'the body %s is no object, for no method',
    async (body) => {
      for (const method of ['POST', 'PUT', 'DELETE']) {
        expect((await refused(given, method, body)).json.message).toMatch(
          method === 'PUT' ? /body must be a JSON object|at least one field/ : /^the body must be a JSON object$/,
        );
      }
    },
  );

  test.each([
    ['an empty body', ''],
    ['null', 'null'],
  ])('%s says that an object is missing', async (_, body) => {
    for (const method of ['POST', 'PUT']) {
      expect((await refused(given, method, body)).json.message).toBe('the body must be a JSON object');
    }
  });

  test.each<[string, unknown, string]>([
    ['no field', {}, 'at least one field to change is required'],
    [
      'only what cannot be changed',
      { id: 5, user_id: 2, created_at: null },
      'at least one field to change is required',
    ],
    ['a blank title', { title: ' ' }, 'title must not be blank'],
    ['null', { title: null }, 'title must be a string'],
    ['one good and one bad field', { title: 'fine', content: '' }, 'content must not be blank'],
    ['a title too long', { title: '😀'.repeat(256) }, 'title must be at most 255 characters long'],
    ['a content too long', { content: '😀'.repeat(16_384) }, 'content must be at most 65535 bytes long in UTF-8'],
    ['both bad', { title: 1, content: '' }, 'title must be a string; content must not be blank'],
  ])('PUT with %s is refused, and the post stays as it is', async (_, body, message) => {
    await insertPost(given.database, { id: 1 });
    const before = (await given.service.get('/cache/posts/1')).json.data;
    expect((await refused(given, 'PUT', body)).json.message).toBe(message);
    const after = await given.service.get('/cache/posts/1');
    expect([after.json.data, after.json.source]).toEqual([before, 'cache']);
  });

  test.each([
    ['cut off', '{"title":"t"'],
    ['single quotes', "{'title':'t'}"],
    ['a comma too many', '{"title":"t",}'],
    ['two values', '{} {}'],
    ['no JSON at all', 'title=t&content=c&user_id=1'],
    ['NaN', '{"title":NaN}'],
    ['only white space', '   '],
    ['__proto__', '{"title":"t","content":"c","user_id":1,"__proto__":{"admin":true}}'],
    ['an escaped __proto__', '{"title":"t","content":"c","user_id":1,"\\u005f_proto__":{"admin":true}}'],
    ['constructor.prototype', '{"title":"t","content":"c","user_id":1,"constructor":{"prototype":{"admin":true}}}'],
  ])('%s is not valid JSON, for any method', async (_, body) => {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const reply = await refused(given, method, body);
      expect(reply.json).toMatchObject({ code: 'INVALID_JSON', message: 'The body is not valid JSON' });
    }
    expect(Reflect.get({}, 'admin')).toBeUndefined();
  });

  test('bytes that are no UTF-8 are refused instead of replaced', async () => {
    const [before = '', after = ''] = JSON.stringify({ ...valid, title: '|' }).split('|');
    const body = Buffer.concat([Buffer.from(before), Buffer.from([0xff, 0xfe]), Buffer.from(after)]);
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${given.service.url}/cache/posts`, { method: 'POST', headers, body });
    const problem: unknown = await response.json();
    expect([response.status, problem]).toEqual([
      400,
      expect.objectContaining({ message: 'The body is not valid JSON' }),
    ]);
  });
});
