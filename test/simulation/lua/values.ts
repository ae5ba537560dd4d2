/** Values of the Lua interpreter. `undefined` is nil; strings hold one byte per character. */
export type LuaValue = undefined | boolean | number | string | LuaTable | LuaFunction;
export type LuaFunction = (args: readonly LuaValue[]) => readonly LuaValue[];

export class LuaError extends Error {
  override readonly name = 'LuaError';
}

/** A sequence from 1 and named fields, without holes: all that scripts of Redis need. */
export class LuaTable {
  readonly items: LuaValue[];
  readonly fields = new Map<string, LuaValue>();

  constructor(items: LuaValue[] = []) {
    this.items = items;
  }

  get(key: LuaValue): LuaValue {
    if (typeof key === 'number') return this.items[key - 1];
    return typeof key === 'string' ? this.fields.get(key) : undefined;
  }

  set(key: LuaValue, value: LuaValue): void {
    if (typeof key === 'string') {
      if (value === undefined) this.fields.delete(key);
      else this.fields.set(key, value);
      return;
    }
    if (typeof key !== 'number') throw new LuaError(`a key of type ${typeof key} is not supported`);
    if (value === undefined || !Number.isInteger(key) || key < 1 || key > this.items.length + 1) {
      throw new LuaError(`a hole in a sequence is not supported (at ${key})`);
    }
    this.items[key - 1] = value;
  }
}

export function isTrue(value: LuaValue): boolean {
  return value !== undefined && value !== false;
}

export function typeName(value: LuaValue): string {
  if (value === undefined) return 'nil';
  if (value instanceof LuaTable) return 'table';
  return typeof value;
}

/** `%.14g`, as Lua 5.1 writes a number; a tie in the last digit is rounded up here, and to even there. */
export function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e14) return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  const [mantissa = '', power = ''] = value.toExponential(13).split('e');
  const exponent = Number(power);
  if (exponent >= -5 && exponent < 14) return trimmed(value.toFixed(Math.max(0, 13 - exponent)));
  const sign = exponent < 0 ? '-' : '+';
  return `${trimmed(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function trimmed(digits: string): string {
  return digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits;
}

const numeral = /^\s*[-+]?(0[xX][0-9a-fA-F]+|(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*$/;

/** What `tonumber` makes of it, and what arithmetic does with a string. */
export function toNumber(value: LuaValue): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && numeral.test(value) ? Number(value) : undefined;
}

export function operand(value: LuaValue): number {
  const number = toNumber(value);
  if (number === undefined) throw new LuaError(`attempt to perform arithmetic on a ${typeName(value)} value`);
  return number;
}

export function piece(value: LuaValue): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value);
  throw new LuaError(`attempt to concatenate a ${typeName(value)} value`);
}
