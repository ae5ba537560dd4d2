import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { Command } from '../../../src/redis/link.ts';
import { type RedisServer, startRedis } from '../../harness/redis-server.ts';
import { RedisError, toReply } from './reply.ts';
import { SimulatedRedis } from './server.ts';

/** The same commands and scripts against a real server and the simulated one: the replies must be the same. */

const folder = join(import.meta.dirname, '..', '..', '..', 'lua');
const prelude = readFileSync(join(folder, 'prelude.lua'), 'utf8');
const textOf = (step: string): string => `${prelude}\n${readFileSync(join(folder, `${step}.lua`), 'utf8')}`;

/** Times of the two servers differ by milliseconds, so a number that is a time is only that. */
function comparable(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString('latin1');
  if (typeof reply === 'number') return reply > 1_000 ? 'some time' : reply;
  if (Array.isArray(reply)) return reply.map(comparable);
  return reply;
}

const pairsOf = (reply: readonly unknown[]): Map<unknown, unknown> =>
  new Map(reply.flatMap((each, index) => (index % 2 === 0 ? [[each, reply[index + 1]]] : [])));

const firstWord = (error: unknown): string => (error instanceof Error ? (error.message.split(' ')[0] ?? '') : '');

function simulated(server: SimulatedRedis, command: Command): unknown {
  try {
    return comparable(toReply(server.run(command)));
  } catch (error) {
    if (!(error instanceof RedisError)) throw error;
    return `error ${firstWord(error)}`;
  }
}

async function real(client: Redis, [name, ...args]: Command): Promise<unknown> {
  try {
    return comparable(await client.callBuffer(name, ...args));
  } catch (error) {
    return `error ${firstWord(error)}`;
  }
}

const openSimulated = (): SimulatedRedis =>
  new SimulatedRedis({
    runId: 'run',
    replicationId: 'r',
    now: () => Date.now(),
    publish: () => 0,
    deleted: () => undefined,
  });

const key = fc.constantFrom('a', 'b', '{a}:guard');
/** Of texts without other characters than those of ASCII. */
const text = fc.constantFrom('s', 'u');
const field = fc.constantFrom('f', 'g', 'h');
const value = fc.constantFrom('', '1', 'text', 'ÿþ');
const ms = fc.constantFrom('-1', '0', '60000', 'x');
const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.tuple(fc.constantFrom('GET', 'DEL', 'PTTL', 'HGETALL', 'HLEN'), key),
  fc.tuple(fc.constant('DEL'), key, key),
  fc.tuple(fc.constant('SET'), key, value),
  fc.tuple(fc.constant('SET'), key, value, fc.constant('PX'), ms),
  fc.tuple(fc.constant('PEXPIRE'), key, ms),
  fc.tuple(fc.constant('SETRANGE'), text, fc.integer({ min: 0, max: 9 }).map(String), fc.constantFrom('a', 'bcd')),
  fc.tuple(fc.constant('RENAME'), text, text),
  fc.tuple(fc.constantFrom('GET', 'PTTL'), text),
  fc.tuple(fc.constant('PEXPIRE'), text, fc.constant('60000')),
  fc.tuple(fc.constantFrom('HGET', 'HDEL'), key, field),
  fc.tuple(fc.constantFrom('HMGET', 'HDEL'), key, field, field),
  fc.tuple(fc.constant('HSET'), key, field, value),
  fc.tuple(fc.constant('HSET'), key, field, value, field),
  fc.tuple(fc.constant('HSET'), key, field, value, field, value),
  fc.constantFrom<Command>(['PING'], ['FLUSHALL'], ['NONSENSE'], ['GET'], ['EVALSHA', 'nothing', 0]),
);

const token = fc.constantFrom('run1.db.t1', 'run1.db.t2', 'run2.db.t3');
const suffix = fc.constantFrom('', '#p');
/** Names, and the arguments behind the common ones. */
type Step = readonly [names: readonly string[], rest: readonly (string | number)[]];

const name = fc.constantFrom('a', 'b');
const names = fc.array(name, { minLength: 1, maxLength: 3 });
const atOne = (rest: fc.Arbitrary<readonly (string | number)[]>): fc.Arbitrary<Step> => fc.tuple(fc.tuple(name), rest);
const atEach = (
  common: fc.Arbitrary<readonly (string | number)[]>,
  own: fc.Arbitrary<readonly (string | number)[]>,
): fc.Arbitrary<Step> =>
  fc
    .tuple(common, fc.array(fc.tuple(name, own), { minLength: 1, maxLength: 3 }))
    .map(([rest, places]): Step => [places.map(([each]) => each), [...rest, ...places.flatMap(([, args]) => args)]]);

const own: Readonly<Record<string, fc.Arbitrary<Step>>> = {
  acquire: atEach(
    fc.tuple(
      fc.constantFrom('run1.db.', 'run2.db.'),
      fc.constantFrom(1_500, 4),
      fc.constantFrom('channel1', 'channel2'),
    ),
    fc.tuple(suffix, token, fc.constantFrom(-1, 50_000), fc.constantFrom('0', '0', '1'), fc.constantFrom('0', '1')),
  ),
  fill: atEach(
    fc.constant([]),
    fc.tuple(
      suffix,
      token,
      fc.constantFrom(60_000, 70_000),
      value,
      value,
      fc.constantFrom(3, 0),
      fc.constantFrom('0', '1'),
    ),
  ),
  attach: atOne(fc.tuple(suffix, token)),
  surrender: atOne(fc.tuple(suffix, token)),
  fence: fc.tuple(names, fc.tuple(token, fc.constantFrom(-1, 30_000))),
  release: fc.tuple(names, fc.tuple(token)),
  settle: fc.tuple(fc.constant([]), fc.tuple(fc.constantFrom('', 'e1', 'e2'))),
};

const steps: fc.Arbitrary<Command> = fc.oneof(
  ...Object.entries(own).map(([step, args]) =>
    fc
      .tuple(fc.constantFrom('run1', 'run1', 'run2'), fc.constantFrom('e1', 'e2'), args)
      .map(([run, epoch, [places, rest]]): Command => {
        const keys = [
          'fences',
          ...places.flatMap((each) => [each, `{${each}}:guard`]),
          ...(step === 'attach' ? ['s'] : []),
        ];
        return ['EVAL', textOf(step), keys.length, ...keys, run, epoch, 40_000, ...rest];
      }),
  ),
);

describe('the simulated Redis answers as the real one', () => {
  let server: RedisServer;
  let client: Redis;

  beforeAll(async () => {
    server = await startRedis({ ownProcess: true });
    client = new Redis(server.url);
  });
  beforeEach(() => client.flushall());
  afterAll(async () => {
    await client.quit();
    await server.stop();
  });

  const compare = async (sequence: readonly Command[]): Promise<void> => {
    await client.flushall();
    const other = openSimulated();
    for (const command of sequence) expect(simulated(other, command)).toEqual(await real(client, command));
  };

  test('commands', async () => {
    await fc.assert(fc.asyncProperty(fc.array(commands, { maxLength: 20 }), compare), { numRuns: 300 });
  });

  test('the steps of the protocol, and evictions between them', async () => {
    const opened: Command = ['EVAL', textOf('settle'), 1, 'fences', 'run1', 'e1', 40_000, 'e1'];
    const sequences = fc.array(
      fc.oneof(
        { arbitrary: steps, weight: 8 },
        { arbitrary: fc.tuple(fc.constant('DEL'), fc.constantFrom('a', '{a}:guard', 'fences')), weight: 1 },
        { arbitrary: fc.constant<Command>(['SET', 's', 'bytes', 'PX', '60000']), weight: 1 },
        { arbitrary: fc.constantFrom<Command>(['SET', '{b}:guard', 'foreign'], ['DEL', '{b}:guard']), weight: 1 },
        { arbitrary: fc.constantFrom<Command>(opened, ['HGETALL', '{a}:guard'], ['HGETALL', 'fences']), weight: 2 },
      ),
      { minLength: 3, maxLength: 25 },
    );
    // What a deadline is in a hash, is a time too. And the fields of a hash are in no order once one of them is long.
    const withoutTimes = (reply: unknown, [name]: Command): unknown => {
      const known = JSON.parse(JSON.stringify(reply).replaceAll(/\b17\d{11}\b|\b1[89]\d{11}\b/g, 'time'));
      return name === 'HGETALL' && Array.isArray(known) ? pairsOf(known) : known;
    };
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        await client.flushall();
        const other = openSimulated();
        for (const command of [opened, ...sequence]) {
          const expected = withoutTimes(await real(client, command), command);
          expect(withoutTimes(simulated(other, command), command)).toEqual(expected);
        }
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    'tostring(10) .. tostring(0.1) .. tostring(1/3) .. tostring(-2.5)',
    'tostring(1e13) .. " " .. tostring(123456789012346) .. " " .. tostring(1e15) .. " " .. tostring(1e-7)',
    "string.format('%.0f', 1700000000123) .. string.format('%d %s %%', 7, 'x')",
    '3 .. 4',
    '"10" * 2 + 1',
    "tonumber('0x10') .. tonumber(' 12 ') .. tostring(tonumber('1e3')) .. tostring(tonumber('x')) .. tostring(tonumber(false))",
    "string.sub('abcdef', 2, 3) .. string.sub('abcdef', -2) .. string.sub('abc', 0) .. string.sub('abc', 3, 2)",
    "tostring(string.find('a.b', '.', 1, true)) .. tostring(string.find('ab', 'c', 1, true))",
    'tostring(nil == false) .. tostring(not nil) .. tostring(nil or 1) .. tostring(false and 1)',
    "#'abc' + #{1, 2, 3}",
    "table.concat({1, 'b', 2.5}, ',')",
    'math.floor(-1.5) + math.floor(7 / 2)',
    "tostring('a' < 'b') .. tostring(2 >= 2) .. tostring('10' == 10)",
    '{1, 2, nil, 4}',
    '{true, false, 3.9, -3.9}',
    "(function() local a, b = unpack({'x', 'y'}) return a .. b end)()",
    "(function() local all = {} for a, b in string.gmatch('k:1 l:22', '(%S+):(%d+)') do all[#all + 1] = a .. b end return all end)()",
    '(function() for at = 1, 9, 2 do if at > 4 then return at end end end)()',
    "{unpack({'a', 'b', 'c', 'd'}, 2, 3)}",
    "(function() local done, reason = pcall(redis.call, 'NONSENSE') return tostring(done) .. type(reason) end)()",
    "(function() local done, text = pcall(function(a) return a .. 'x' end, 1) return tostring(done) .. text end)()",
    "(function() return {err = 'ODD reason'} end)()",
    'missing',
    "1 < 'x'",
    "nil .. 'x'",
    'tonumber(nil) + 1',
    "redis.call('NONSENSE')",
    "redis.pcall('HGET', 'k')",
    "redis.call('SET', 'k', 1.5)",
    "redis.call('PING')",
  ])('Lua: %s', async (expression) => {
    const command: Command = ['EVAL', `return ${expression}`, 0];
    expect(simulated(openSimulated(), command)).toEqual(await real(client, command));
  });
});
