import type { Keyspace } from './keyspace.ts';
import { type Answer, ok, RedisError } from './reply.ts';

/** What a command sees of its server. */
export interface Surroundings {
  readonly keyspace: Keyspace;
  /** Milliseconds of the server's own clock; it stands still while a script runs. */
  readonly now: number;
  readonly runId: string;
  readonly replicationId: string;
  readonly role: 'master' | 'slave';
  publish(channel: string, text: string): number;
  deleted(keys: readonly string[]): void;
}

type Run = (args: readonly string[], server: Surroundings) => Answer;

/** The commands that the store and its scripts use, with the arguments that they use. Another one is an error. */
const commands: Readonly<Record<string, { readonly least: number; readonly run: Run; readonly writes?: true }>> = {
  PING: { least: 0, run: () => 'PONG' },
  TIME: {
    least: 0,
    run: (_, { now }) => [String(Math.floor(now / 1000)), String(Math.round((now % 1000) * 1000))],
  },
  INFO: { least: 0, run: ([section], server) => info(section, server) },
  GET: { least: 1, run: ([key = ''], { keyspace, now }) => keyspace.text(key, now) },
  STRLEN: { least: 1, run: ([key = ''], { keyspace, now }) => keyspace.text(key, now)?.length ?? 0 },
  SET: { least: 2, writes: true, run: set },
  SETRANGE: { least: 3, writes: true, run: setRange },
  RENAME: {
    least: 2,
    writes: true,
    run: ([from = '', to = ''], { keyspace, now }) => {
      const text = keyspace.text(from, now);
      if (text === null) throw new RedisError('ERR no such key');
      const left = keyspace.ttl(from, now);
      keyspace.delete(from, now);
      keyspace.setText(to, text, left < 0 ? undefined : now + left);
      return ok;
    },
  },
  DEL: {
    least: 1,
    writes: true,
    run: (keys, { keyspace, now, deleted }) => {
      deleted(keys);
      return keys.filter((key) => keyspace.delete(key, now)).length;
    },
  },
  PTTL: { least: 1, run: ([key = ''], { keyspace, now }) => keyspace.ttl(key, now) },
  PEXPIRE: {
    least: 2,
    writes: true,
    run: ([key = '', ms = ''], { keyspace, now }) => Number(keyspace.expireAt(key, now + integer(ms), now)),
  },
  HGET: { least: 2, run: ([key = '', field = ''], { keyspace, now }) => keyspace.hash(key, now)?.get(field) ?? null },
  HMGET: {
    least: 2,
    run: ([key = '', ...fields], { keyspace, now }) => {
      const hash = keyspace.hash(key, now);
      return fields.map((field) => hash?.get(field) ?? null);
    },
  },
  HGETALL: { least: 1, run: ([key = ''], { keyspace, now }) => [...(keyspace.hash(key, now) ?? [])].flat() },
  HLEN: { least: 1, run: ([key = ''], { keyspace, now }) => keyspace.hash(key, now)?.size ?? 0 },
  HSET: { least: 3, writes: true, run: hset },
  HDEL: {
    least: 2,
    writes: true,
    run: ([key = '', ...fields], { keyspace, now }) => keyspace.deleteFields(key, fields, now),
  },
  PUBLISH: { least: 2, run: ([channel = '', text = ''], server) => server.publish(channel, text) },
  FLUSHALL: {
    least: 0,
    writes: true,
    run: (_, { keyspace }) => {
      keyspace.clear();
      return ok;
    },
  },
};

export function runCommand(name: string, args: readonly string[], server: Surroundings): Answer {
  const command = commands[name.toUpperCase()];
  if (command === undefined) throw new RedisError(`ERR unknown command '${name}'`);
  if (args.length < command.least) {
    throw new RedisError(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
  }
  if (command.writes === true && server.role === 'slave') {
    throw new RedisError("READONLY You can't write against a read only replica.");
  }
  return command.run(args, server);
}

function info(section: string | undefined, { runId, replicationId, role }: Surroundings): string {
  const server = `# Server\r\nrun_id:${runId}\r\n`;
  const replication = `# Replication\r\nrole:${role}\r\nmaster_replid:${replicationId}\r\n`;
  if (section === undefined) return server + replication;
  return section === 'server' ? server : replication;
}

function set([key = '', value = '', option, ms = '']: readonly string[], { keyspace, now }: Surroundings): Answer {
  if (option === undefined) {
    keyspace.setText(key, value);
    return ok;
  }
  if (option.toUpperCase() !== 'PX') throw new RedisError('ERR syntax error');
  const ttl = integer(ms);
  if (ttl <= 0) throw new RedisError("ERR invalid expire time in 'set' command");
  keyspace.setText(key, value, now + ttl);
  return ok;
}

/** What is not there yet before the offset is filled with zero bytes. */
function setRange([key = '', at = '', piece = '']: readonly string[], { keyspace, now }: Surroundings): Answer {
  const before = keyspace.text(key, now) ?? '';
  const offset = integer(at);
  const text = before.slice(0, offset).padEnd(offset, '\0') + piece + before.slice(offset + piece.length);
  const left = keyspace.ttl(key, now);
  keyspace.setText(key, text, left < 0 ? undefined : now + left);
  return text.length;
}

function hset([key = '', ...rest]: readonly string[], { keyspace, now }: Surroundings): Answer {
  if (rest.length % 2 === 1) throw new RedisError("ERR wrong number of arguments for 'hset' command");
  const fields: [string, string][] = [];
  for (let at = 0; at < rest.length; at += 2) fields.push([rest[at] ?? '', rest[at + 1] ?? '']);
  return keyspace.setFields(key, fields, now);
}

function integer(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new RedisError('ERR value is not an integer or out of range');
  return Number(text);
}
