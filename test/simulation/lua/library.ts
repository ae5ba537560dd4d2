import { RedisError } from '../redis/reply.ts';
import { compilePattern } from './pattern.ts';
import {
  LuaError,
  LuaTable,
  type LuaFunction,
  type LuaValue,
  numberText,
  piece,
  toNumber,
  typeName,
} from './values.ts';

/** The part of Lua's standard library that scripts of Redis use. What is missing is an error, never a guess. */
export function standardLibrary(): Map<string, LuaValue> {
  return new Map<string, LuaValue>([
    ['string', tableOf(strings)],
    ['math', tableOf(maths)],
    ['table', tableOf(tables)],
    ['tonumber', ([value]) => [toNumber(value)]],
    ['tostring', ([value]) => [textOf(value)]],
    ['type', ([value]) => [typeName(value)]],
    [
      'unpack',
      ([value, from, to]) => sequence(value).slice(number(from ?? 1) - 1, to === undefined ? undefined : number(to)),
    ],
    ['pcall', ([called, ...args]) => guarded(called, args)],
  ]);
}

function guarded(called: LuaValue, args: readonly LuaValue[]): readonly LuaValue[] {
  if (typeof called !== 'function') throw new LuaError('pcall takes a function');
  try {
    return [true, ...called(args)];
  } catch (error) {
    if (error instanceof LuaError || error instanceof RedisError) return [false, error.message];
    throw error;
  }
}

const strings: Record<string, LuaFunction> = {
  format: ([format, ...values]) => [formatted(piece(format), values)],
  sub: ([value, from, to]) => [slice(piece(value), number(from), to === undefined ? -1 : number(to))],
  find: ([value, wanted, from, plain]) => {
    if (plain !== true) throw new LuaError('string.find is supported for plain text alone');
    const at = piece(value).indexOf(piece(wanted), from === undefined ? 0 : number(from) - 1);
    return at === -1 ? [undefined] : [at + 1, at + piece(wanted).length];
  },
  match: ([value, pattern]) => {
    const [match] = piece(value).matchAll(compilePattern(piece(pattern)));
    if (match === undefined) return [undefined];
    return match.length > 1 ? match.slice(1) : [match[0]];
  },
  gmatch: ([value, pattern]) => {
    const matches = piece(value).matchAll(compilePattern(piece(pattern)));
    return [
      () => {
        const { value: match, done } = matches.next();
        if (done === true) return [undefined];
        return match.length > 1 ? match.slice(1) : [match[0]];
      },
    ];
  },
};

const maths: Record<string, LuaFunction> = {
  floor: ([value]) => [Math.floor(number(value))],
  ceil: ([value]) => [Math.ceil(number(value))],
  max: (values) => [Math.max(...values.map(number))],
  min: (values) => [Math.min(...values.map(number))],
};

const tables: Record<string, LuaFunction> = {
  concat: ([value, separator]) => [
    sequence(value)
      .map(piece)
      .join(separator === undefined ? '' : piece(separator)),
  ],
  insert: ([value, item]) => {
    sequence(value).push(item);
    return [];
  },
};

function tableOf(functions: Record<string, LuaFunction>): LuaTable {
  const table = new LuaTable();
  for (const [name, each] of Object.entries(functions)) table.set(name, each);
  return table;
}

function sequence(value: LuaValue): LuaValue[] {
  if (value instanceof LuaTable) return value.items;
  throw new LuaError(`table expected, got ${typeName(value)}`);
}

function number(value: LuaValue): number {
  const converted = toNumber(value);
  if (converted === undefined) throw new LuaError(`number expected, got ${typeName(value)}`);
  return converted;
}

function textOf(value: LuaValue): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value);
  if (value === undefined || typeof value === 'boolean') return String(value ?? 'nil');
  throw new LuaError(`the text of a ${typeName(value)} is not supported`);
}

/** Positions count from 1, negative ones from the end. */
function slice(text: string, from: number, to: number): string {
  const start = from < 0 ? Math.max(text.length + from, 0) : Math.max(from - 1, 0);
  const end = to < 0 ? text.length + to + 1 : to;
  return text.slice(start, Math.max(start, end));
}

function formatted(format: string, values: readonly LuaValue[]): string {
  let next = 0;
  return format.replaceAll(/%(.[\d.]*\w?|%)/g, (directive) => {
    if (directive === '%%') return '%';
    const value = values[next];
    next += 1;
    if (directive === '%s') return textOf(value);
    if (directive === '%d') return String(Math.trunc(number(value)));
    // Redis rounds half to even here, as C does; deadlines are whole numbers anyway.
    if (directive === '%.0f') return Number.isInteger(number(value)) ? BigInt(number(value)).toString() : refuse(value);
    throw new LuaError(`the directive ${directive} is not supported`);
  });
}

function refuse(value: LuaValue): never {
  throw new LuaError(`%.0f of ${textOf(value)}, which is no whole number, is not supported`);
}
