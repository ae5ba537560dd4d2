import type {
  BinaryExpression,
  Expression,
  FunctionDeclaration,
  Identifier,
  Statement,
  TableConstructorExpression,
} from 'luaparse';
import type { Scope } from './scope.ts';
import { isTrue, LuaError, LuaTable, type LuaFunction, type LuaValue, operand, piece, typeName } from './values.ts';

export type Registers = LuaValue[];
export type Evaluate = (registers: Registers) => LuaValue;
export type EvaluateAll = (registers: Registers) => LuaValue[];
/** The values of `return`, a symbol for `break`, `undefined` to go on. */
export type Outcome = readonly LuaValue[] | symbol | undefined;
export type Execute = (registers: Registers) => Outcome;

/** Expressions and statements hold each other. */
export interface Compile {
  one(node: Expression, scope: Scope): Evaluate;
  all(nodes: readonly Expression[], scope: Scope): EvaluateAll;
  block(body: Statement[], scope: Scope): Execute;
}

export function compileExpression(node: Expression, scope: Scope, compile: Compile): Evaluate {
  switch (node.type) {
    case 'StringLiteral':
    case 'NumericLiteral':
    case 'BooleanLiteral': {
      const { value } = node;
      return () => value;
    }
    case 'NilLiteral':
      return () => undefined;
    case 'Identifier':
      return compileName(node, scope);
    case 'MemberExpression': {
      const base = compile.one(node.base, scope);
      const { name } = node.identifier;
      return (registers) => index(base(registers), name);
    }
    case 'IndexExpression': {
      const base = compile.one(node.base, scope);
      const key = compile.one(node.index, scope);
      return (registers) => index(base(registers), key(registers));
    }
    case 'CallExpression': {
      const call = compileCall(node.base, node.arguments, scope, compile);
      return (registers) => call(registers)[0];
    }
    case 'BinaryExpression':
      return compileBinary(node, scope, compile);
    case 'LogicalExpression': {
      const left = compile.one(node.left, scope);
      const right = compile.one(node.right, scope);
      const stopsAt = node.operator === 'or';
      return (registers) => {
        const value = left(registers);
        return isTrue(value) === stopsAt ? value : right(registers);
      };
    }
    case 'UnaryExpression': {
      const argument = compile.one(node.argument, scope);
      if (node.operator === 'not') return (registers) => !isTrue(argument(registers));
      if (node.operator === '-') return (registers) => -operand(argument(registers));
      if (node.operator === '#') return (registers) => lengthOf(argument(registers));
      throw new LuaError(`the operator ${node.operator} is not supported`);
    }
    case 'TableConstructorExpression':
      return compileTable(node, scope, compile);
    case 'FunctionDeclaration':
      return compileFunction(node, scope, compile);
    case 'StringCallExpression':
    case 'TableCallExpression':
    case 'VarargLiteral':
      throw new LuaError(`${node.type} is not supported`);
  }
}

/** A list of expressions: the last one may be a call that gives several values. */
export function compileAll(nodes: readonly Expression[], scope: Scope, compile: Compile): EvaluateAll {
  const last = nodes.at(-1);
  if (last?.type !== 'CallExpression') {
    const each = nodes.map((node) => compile.one(node, scope));
    return (registers) => each.map((evaluate) => evaluate(registers));
  }
  const each = nodes.slice(0, -1).map((node) => compile.one(node, scope));
  const call = compileCall(last.base, last.arguments, scope, compile);
  return (registers) => [...each.map((evaluate) => evaluate(registers)), ...call(registers)];
}

function compileCall(base: Expression, args: readonly Expression[], scope: Scope, compile: Compile) {
  const callee = compile.one(base, scope);
  const values = compile.all(args, scope);
  return (registers: Registers): readonly LuaValue[] => {
    const called = callee(registers);
    if (typeof called !== 'function') throw new LuaError(`attempt to call a ${typeName(called)} value`);
    return called(values(registers));
  };
}

function compileName({ name }: Identifier, scope: Scope): Evaluate {
  const slot = scope.find(name);
  if (slot !== undefined) return (registers) => registers[slot];
  const value = scope.global(name);
  return () => value;
}

function compileFunction(node: FunctionDeclaration, scope: Scope, compile: Compile): Evaluate {
  const inner = scope.inner();
  const slots = node.parameters.map((parameter) => {
    if (parameter.type !== 'Identifier') throw new LuaError('... is not supported');
    return inner.declare(parameter.name);
  });
  const body = compile.block(node.body, inner);
  return (registers): LuaFunction => {
    let runs = false;
    return (args) => {
      if (runs) throw new LuaError('recursion is not supported');
      runs = true;
      for (let at = 0; at < slots.length; at += 1) registers[slots[at] ?? 0] = args[at];
      try {
        const outcome = body(registers);
        return typeof outcome === 'object' ? outcome : [];
      } finally {
        runs = false;
      }
    };
  };
}

function compileTable(node: TableConstructorExpression, scope: Scope, compile: Compile): Evaluate {
  const items = node.fields.flatMap((field) => (field.type === 'TableValue' ? [field.value] : []));
  const named = node.fields.flatMap((field) =>
    field.type === 'TableKeyString' ? [[field.key.name, compile.one(field.value, scope)] as const] : [],
  );
  if (items.length + named.length < node.fields.length) throw new LuaError('[key] = value is not supported');
  const sequence = compile.all(items, scope);
  return (registers) => {
    const table = new LuaTable(sequence(registers));
    for (const [name, value] of named) table.set(name, value(registers));
    return table;
  };
}

function index(base: LuaValue, key: LuaValue): LuaValue {
  if (base instanceof LuaTable) return base.get(key);
  throw new LuaError(`attempt to index a ${typeName(base)} value`);
}

function lengthOf(value: LuaValue): number {
  if (typeof value === 'string') return value.length;
  if (value instanceof LuaTable) return value.items.length;
  throw new LuaError(`attempt to get length of a ${typeName(value)} value`);
}

type Operator = (a: LuaValue, b: LuaValue) => LuaValue;

const operators: Readonly<Record<string, Operator>> = {
  '==': (a, b) => a === b,
  '~=': (a, b) => a !== b,
  '<': (a, b) => less(a, b),
  '>': (a, b) => less(b, a),
  '<=': (a, b) => !less(b, a),
  '>=': (a, b) => !less(a, b),
  '..': (a, b) => piece(a) + piece(b),
  '+': (a, b) => operand(a) + operand(b),
  '-': (a, b) => operand(a) - operand(b),
  '*': (a, b) => operand(a) * operand(b),
  '/': (a, b) => operand(a) / operand(b),
};

function compileBinary({ operator, left, right }: BinaryExpression, scope: Scope, compile: Compile): Evaluate {
  const a = compile.one(left, scope);
  const b = compile.one(right, scope);
  const combine = operators[operator];
  if (combine === undefined) throw new LuaError(`the operator ${operator} is not supported`);
  return (registers) => combine(a(registers), b(registers));
}

function less(a: LuaValue, b: LuaValue): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  if (typeof a === 'string' && typeof b === 'string') return a < b;
  throw new LuaError(`attempt to compare ${typeName(a)} with ${typeName(b)}`);
}
