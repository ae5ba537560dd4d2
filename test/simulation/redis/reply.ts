import type { Reply } from '../../../src/redis/link.ts';
import { LuaError, LuaTable, type LuaValue } from '../lua/values.ts';

/** An error reply. */
export class RedisError extends Error {
  override readonly name = 'RedisError';
}

/** `+OK` and its like. */
export class Status {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export const ok = new Status('OK');

/** What a command answers; strings hold one byte per character. */
export type Answer = string | number | null | Status | readonly Answer[];

/** As a client gets it. */
export function toReply(answer: Answer): Reply {
  if (answer === null || typeof answer === 'number') return answer;
  if (typeof answer === 'string') return Buffer.from(answer, 'latin1');
  return answer instanceof Status ? Buffer.from(answer.text) : answer.map(toReply);
}

/** As a script gets it: https://redis.io/docs/latest/develop/programmability/lua-api/, "Data type conversion". */
export function toLua(answer: Answer): LuaValue {
  if (answer === null) return false;
  if (typeof answer === 'number' || typeof answer === 'string') return answer;
  if (!(answer instanceof Status)) return new LuaTable(answer.map(toLua));
  const table = new LuaTable();
  table.set('ok', answer.text);
  return table;
}

/** What a script returns. */
export function fromLua(value: LuaValue): Answer {
  if (value === undefined || value === false) return null;
  if (value === true) return 1;
  if (typeof value === 'number') return Math.trunc(value);
  if (typeof value === 'string') return value;
  if (!(value instanceof LuaTable)) throw new LuaError('a script cannot return a function');
  const status = value.get('ok');
  if (typeof status === 'string') return new Status(status);
  const error = value.get('err');
  if (typeof error === 'string') throw new RedisError(error);
  const end = value.items.indexOf(undefined);
  return (end === -1 ? value.items : value.items.slice(0, end)).map(fromLua);
}
