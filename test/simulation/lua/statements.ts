import type {
  AssignmentStatement,
  ForGenericStatement,
  ForNumericStatement,
  IfStatement,
  LocalStatement,
  Statement,
} from 'luaparse';
import type { Compile, Execute, Registers } from './expressions.ts';
import type { Scope } from './scope.ts';
import { isTrue, LuaError, LuaTable, type LuaValue, operand, typeName } from './values.ts';

const broken = Symbol('break');

export function compileBlock(body: readonly Statement[], outer: Scope, compile: Compile): Execute {
  const scope = outer.inner();
  const steps = body.map((statement) => compileStatement(statement, scope, compile));
  return (registers) => {
    for (const step of steps) {
      const outcome = step(registers);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  };
}

function compileStatement(node: Statement, scope: Scope, compile: Compile): Execute {
  switch (node.type) {
    case 'LocalStatement':
      return compileLocal(node, scope, compile);
    case 'AssignmentStatement':
      return compileAssignment(node, scope, compile);
    case 'CallStatement': {
      const call = compile.all([node.expression], scope);
      return (registers) => void call(registers);
    }
    case 'FunctionDeclaration': {
      if (node.identifier?.type !== 'Identifier' || !node.isLocal)
        throw new LuaError('only local functions are supported');
      const slot = scope.declare(node.identifier.name);
      const define = compile.one(node, scope);
      return (registers) => {
        registers[slot] = define(registers);
        return undefined;
      };
    }
    case 'IfStatement':
      return compileIf(node, scope, compile);
    case 'ForNumericStatement':
      return compileCount(node, scope, compile);
    case 'ForGenericStatement':
      return compileIteration(node, scope, compile);
    case 'ReturnStatement': {
      const values = compile.all(node.arguments, scope);
      return (registers) => values(registers);
    }
    case 'BreakStatement':
      return () => broken;
    case 'DoStatement':
    case 'GotoStatement':
    case 'LabelStatement':
    case 'RepeatStatement':
    case 'WhileStatement':
      throw new LuaError(`${node.type} is not supported`);
  }
}

function compileLocal(node: LocalStatement, scope: Scope, compile: Compile): Execute {
  // The names are not in scope on their own right side.
  const values = compile.all(node.init, scope);
  const slots = node.variables.map(({ name }) => scope.declare(name));
  return (registers) => {
    assign(registers, slots, values(registers));
    return undefined;
  };
}

function assign(registers: Registers, slots: readonly number[], values: readonly LuaValue[]): void {
  for (let at = 0; at < slots.length; at += 1) registers[slots[at] ?? 0] = values[at];
}

function compileAssignment(node: AssignmentStatement, scope: Scope, compile: Compile): Execute {
  const values = compile.all(node.init, scope);
  const targets = node.variables.map((target) => {
    if (target.type === 'Identifier') {
      const slot = scope.find(target.name);
      if (slot === undefined) throw new LuaError(`Script attempted to create global variable '${target.name}'`);
      return (registers: Registers, value: LuaValue): void => {
        registers[slot] = value;
      };
    }
    const base = compile.one(target.base, scope);
    const { type } = target;
    const key = type === 'MemberExpression' ? () => target.identifier.name : compile.one(target.index, scope);
    return (registers: Registers, value: LuaValue): void => {
      const table = base(registers);
      if (!(table instanceof LuaTable)) throw new LuaError(`attempt to index a ${typeName(table)} value`);
      table.set(key(registers), value);
    };
  });
  return (registers) => {
    const given = values(registers);
    for (let at = 0; at < targets.length; at += 1) targets[at]?.(registers, given[at]);
    return undefined;
  };
}

function compileIf(node: IfStatement, scope: Scope, compile: Compile): Execute {
  const clauses = node.clauses.map((clause) => ({
    holds: clause.type === 'ElseClause' ? () => true : compile.one(clause.condition, scope),
    body: compile.block(clause.body, scope),
  }));
  return (registers) => {
    for (const { holds, body } of clauses) if (isTrue(holds(registers))) return body(registers);
    return undefined;
  };
}

function compileCount(node: ForNumericStatement, scope: Scope, compile: Compile): Execute {
  const start = compile.one(node.start, scope);
  const end = compile.one(node.end, scope);
  const step = node.step === null ? () => 1 : compile.one(node.step, scope);
  const inner = scope.inner();
  const slot = inner.declare(node.variable.name);
  const body = compile.block(node.body, inner);
  return (registers) => {
    const last = operand(end(registers));
    const by = operand(step(registers));
    for (let at = operand(start(registers)); by > 0 ? at <= last : at >= last; at += by) {
      registers[slot] = at;
      const outcome = body(registers);
      if (outcome === broken) return undefined;
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  };
}

function compileIteration(node: ForGenericStatement, scope: Scope, compile: Compile): Execute {
  const iterator = compile.all(node.iterators, scope);
  const inner = scope.inner();
  const slots = node.variables.map(({ name }) => inner.declare(name));
  const body = compile.block(node.body, inner);
  return (registers) => {
    const [next] = iterator(registers);
    if (typeof next !== 'function') throw new LuaError('only functions are supported as iterators');
    for (;;) {
      const values = next([]);
      if (values[0] === undefined) return undefined;
      assign(registers, slots, values);
      const outcome = body(registers);
      if (outcome === broken) return undefined;
      if (outcome !== undefined) return outcome;
    }
  };
}
