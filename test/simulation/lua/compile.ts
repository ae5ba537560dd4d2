import luaparse, { type Chunk, type Statement } from 'luaparse';
import { type Compile, compileAll, compileExpression, type Registers } from './expressions.ts';
import { standardLibrary } from './library.ts';
import { Scope } from './scope.ts';
import { compileBlock } from './statements.ts';
import { LuaError, LuaTable, type LuaValue } from './values.ts';

/**
 * A small Lua 5.1: scripts are parsed by luaparse and compiled to closures over one array of registers.
 *
 * Why not a whole Lua: the scripts run some hundred times per seed, and a hundred thousand seeds are to be played. A run of
 * `acquire.lua` takes 50 microseconds in fengari and 4 here. It knows as much of the language as the scripts use, with the
 * numbers of Lua 5.1 (doubles, as in Redis), and throws on all else. No recursion, no coroutines, no metatables.
 */
export type Script = (keys: readonly string[], args: readonly string[], redis: LuaTable) => readonly LuaValue[];

const parameters = ['KEYS', 'ARGV', 'redis'] as const;

export function compileScript(text: string): Script {
  const chunk: Chunk = luaparse.parse(text, { luaVersion: '5.1', encodingMode: 'pseudo-latin1', comments: false });
  const scope = new Scope(standardLibrary());
  const slots = parameters.map((name) => scope.declare(name));
  const run = compileBlock(chunk.body, scope, compiler);
  return (keys, args, redis) => {
    const registers: Registers = [];
    const values = [new LuaTable([...keys]), new LuaTable([...args]), redis];
    for (const [index, slot] of slots.entries()) registers[slot] = values[index];
    const result = run(registers);
    if (typeof result === 'symbol') throw new LuaError('break outside a loop');
    return result ?? [];
  };
}

const compiler: Compile = {
  one: (node, scope) => compileExpression(node, scope, compiler),
  all: (nodes, scope) => compileAll(nodes, scope, compiler),
  block: (body: Statement[], scope) => compileBlock(body, scope, compiler),
};
