import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Service, startService } from '../harness/service.ts';
import { answers, examplesOf, requireCurl, runExample } from './console-examples.ts';
import { textOf } from './documents.ts';

describe('the examples of the README', () => {
  const readme = textOf('README.md');
  const examples = examplesOf(readme);
  const secret = /`REALTIME_API_SECRET=(\S+) npm start`/.exec(readme)?.[1] ?? '';
  let service: Service;
  let folder: string;

  beforeAll(async () => {
    await requireCurl();
    service = await startService({ REALTIME_API_SECRET: secret });
    folder = await mkdtemp(join(tmpdir(), 'energex-examples-'));
  }, 300_000);
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true });
  });

  test('there are some, each with an answer', () => {
    expect(examples.length).toBeGreaterThan(10);
    expect(examples.filter(({ expected }) => expected === '')).toEqual([]);
  });

  // In the order of the document: later ones build on earlier ones.
  test.each(examples)('$command', async ({ command, expected }) => {
    const printed = await runExample(command, { host: `127.0.0.1:${service.port}`, folder });
    // The first look at a difference is best had at the texts themselves.
    if (!answers(expected, printed)) expect(printed).toBe(expected);
  });
});

describe('the marks of an example', () => {
  test('a command goes on behind a backslash, and its answer up to the next command', () => {
    const text = '```console\n$ a \\\n  b\none\ntwo\n$ c\nthree\n```\n';
    expect(examplesOf(text)).toEqual([
      { command: 'a \\\n  b', expected: 'one\ntwo' },
      { command: 'c', expected: 'three' },
    ]);
  });

  test.each([
    ['the same text', 'a.b', 'a.b\n', true],
    ['another text', 'a.b', 'aXb', false],
    ['any text of a line', '{"a":…}', '{"a":1,"b":2}', true],
    ['not the text after it', '{"a":…}', '{"a":1', false],
    ['any lines', 'a\n…\nd', 'a\r\nb\r\nc\r\nd', true],
    ['no lines', 'a\n…\nd', 'a\nd', true],
    ['not the line after them', 'a\n…\nd', 'a\nb\nc', false],
    ['nothing beyond the end', 'a', 'a\nb', false],
  ])('stand for %s', (_, expected, printed, isAnswer) => {
    expect(answers(expected, printed)).toBe(isAnswer);
  });
});
