import { hash } from 'node:crypto';
import type { Command } from '../../../src/redis/link.ts';
import { compileScript, type Script } from '../lua/compile.ts';
import { LuaError, LuaTable, type LuaFunction, type LuaValue, piece } from '../lua/values.ts';
import { runCommand, type Surroundings } from './commands.ts';
import { Keyspace } from './keyspace.ts';
import { type Answer, fromLua, RedisError, toLua } from './reply.ts';

/** One run of a Redis server: it ends with a restart, and the next run has another id. */
export class SimulatedRedis {
  readonly runId: string;
  readonly replicationId: string;
  keyspace: Keyspace;
  role: 'master' | 'slave' = 'master';
  readonly #options: SimulatedRedisOptions;
  readonly #scripts = new Map<string, Script>();

  constructor(options: SimulatedRedisOptions) {
    this.#options = options;
    this.runId = options.runId;
    this.replicationId = options.replicationId;
    this.keyspace = options.keyspace ?? new Keyspace();
  }

  /** Milliseconds on the clock of the server. */
  get now(): number {
    return this.#options.now();
  }

  /** Runs one command, or one script, as one step. Throws `RedisError` for an error reply. */
  run([name, ...args]: Command): Answer {
    const texts = args.map(bytesOf);
    const { now, runId, replicationId, role, keyspace } = this;
    const { publish } = this.#options;
    const deleted = (keys: readonly string[]): void => this.#options.deleted(keys, this);
    const server: Surroundings = { now, runId, replicationId, role, keyspace, publish, deleted };
    if (name === 'EVALSHA' || name === 'EVAL') return this.#runScript(name, texts, server);
    return runCommand(name, texts, server);
  }

  forgetScripts(): void {
    this.#scripts.clear();
  }

  #script(name: string, body: string): Script {
    if (name === 'EVAL') {
      const script = compiled(body, this.#options.rewrite);
      this.#scripts.set(digest(body), script);
      return script;
    }
    const known = this.#scripts.get(body);
    if (known === undefined) throw new RedisError('NOSCRIPT No matching script. Please use EVAL.');
    return known;
  }

  #runScript(name: string, [body = '', count = '', ...rest]: readonly string[], server: Surroundings): Answer {
    const keys = rest.slice(0, Number(count));
    try {
      const script = this.#script(name, body);
      return fromLua(script(keys, rest.slice(Number(count)), redisTable(server))[0]);
    } catch (error) {
      if (error instanceof LuaError) throw new RedisError(`ERR ${error.message}`);
      throw error;
    }
  }
}

export interface SimulatedRedisOptions {
  readonly runId: string;
  /** A new one with each promotion. */
  readonly replicationId: string;
  readonly now: () => number;
  readonly publish: (channel: string, text: string) => number;
  /** Told of every DEL, those of scripts included. */
  readonly deleted: (keys: readonly string[], server: SimulatedRedis) => void;
  readonly keyspace?: Keyspace;
  /** A mutation: the text that is run instead of the script's own. */
  readonly rewrite?: ((script: string) => string) | undefined;
}

/** One character per byte. */
function bytesOf(argument: string | number | Buffer): string {
  if (Buffer.isBuffer(argument)) return argument.toString('latin1');
  const text = String(argument);
  return beyondAscii.test(text) ? Buffer.from(text).toString('latin1') : text;
}

const beyondAscii = /[^\0-\x7f]/;

const asWritten = new Map<string, Script>();
const rewritten = new WeakMap<(script: string) => string, Map<string, Script>>();

/** Each text is compiled once per process. */
function compiled(text: string, rewrite: ((script: string) => string) | undefined): Script {
  const cache = rewrite === undefined ? asWritten : (rewritten.get(rewrite) ?? new Map<string, Script>());
  if (rewrite !== undefined) rewritten.set(rewrite, cache);
  const script = cache.get(text) ?? compileScript(rewrite?.(text) ?? text);
  cache.set(text, script);
  return script;
}

const digests = new Map<string, string>();

function digest(text: string): string {
  const known = digests.get(text) ?? hash('sha1', text);
  digests.set(text, known);
  return known;
}

/** The `redis` of a script. */
function redisTable(server: Surroundings): LuaTable {
  const call: LuaFunction = (args) => {
    const [name = '', ...rest] = args.map(argument);
    return [toLua(runCommand(name, rest, server))];
  };
  const guarded: LuaFunction = (args) => {
    try {
      return call(args);
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      const table = new LuaTable();
      table.set('err', error.message);
      return [table];
    }
  };
  const table = new LuaTable();
  table.set('call', call);
  table.set('pcall', guarded);
  return table;
}

function argument(value: LuaValue): string {
  if (typeof value === 'string' || typeof value === 'number') return piece(value);
  throw new LuaError('Lua redis lib command arguments must be strings or integers');
}
