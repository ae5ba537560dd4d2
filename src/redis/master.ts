import { asText, type Call } from './scripts.ts';

/** The server is a replica: it answers reads from what its master has sent so far. */
export class NoMaster extends Error {
  override readonly name = 'NoMaster';
}

/** Rejects with `NoMaster`, or with `StoreUnavailable`. */
export async function requireMaster({ link, deadlineMs }: Pick<Call, 'link' | 'deadlineMs'>): Promise<void> {
  const [reply] = await link.send(deadlineMs, [['INFO', 'replication']]);
  if (/^role:(?!master)/m.test(asText(reply))) throw new NoMaster('the server is not a master');
}
