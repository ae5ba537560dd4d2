import { asText } from './replies.ts';
import type { Call } from './scripts.ts';

/**
 * Which run of a server a connection leads to, out of its `INFO`: the run id, which is new with each start, and the
 * replication id, which is new with each promotion. A server that was master, then replica, and then master again has
 * missed what happened meanwhile, although it never stopped. `undefined` when the server does not tell.
 */
export function runOf(info: string): string | undefined {
  const runId = infoField(info, 'run_id');
  return runId === undefined
    ? undefined
    : `${runId}.${(infoField(info, 'master_replid') ?? '').slice(0, replicationIdLength)}`;
}

/** The server is a replica, which answers reads from what its master has sent so far; or it is a master anew. */
export class NoMaster extends Error {
  override readonly name = 'NoMaster';
}

/** Rejects with `NoMaster`, or with `StoreUnavailable`. */
export async function requireMaster({ link, deadlineMs, ground }: Call): Promise<void> {
  const replies = await link.send(deadlineMs, [
    ['INFO', 'server'],
    ['INFO', 'replication'],
  ]);
  const info = replies.map((reply) => asText(reply)).join('');
  if (infoField(info, 'role') === 'slave') throw new NoMaster('the server is not a master');
  if (runOf(info) !== ground.runId) throw new NoMaster('the server was promoted meanwhile');
}

export function infoField(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(\\w+)`, 'm').exec(info)?.[1];
}

/** Of 40: enough to tell the promotions of one server apart. */
const replicationIdLength = 10;
