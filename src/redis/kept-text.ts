import { StoreUnavailable } from '../cache/store.ts';
import type { Command } from './link.ts';
import type { Place } from './place.ts';
import { asArray, asText } from './replies.ts';
import type { TrustedCall } from './server.ts';

/** A text beside the values, worth as much as they are. What somebody else has put in its place is none, and makes room. */
export async function keepText(
  { link, deadlineMs, trusted }: TrustedCall,
  { value }: Place,
  text: string,
): Promise<void> {
  const store: Command = ['HSET', value, 'trusted', trusted, 'text', text];
  try {
    await link.send(deadlineMs, [store]);
  } catch (error) {
    if (!isForeign(error)) throw error;
    await link.send(deadlineMs, [['DEL', value], store]);
  }
}

export async function keptText({ link, deadlineMs, trusted }: TrustedCall, { value }: Place): Promise<string | null> {
  try {
    const [reply] = await link.send(deadlineMs, [['HMGET', value, 'trusted', 'text']]);
    const [of, text] = asArray(reply);
    return of === null || text === null || asText(of) !== trusted ? null : asText(text);
  } catch (error) {
    if (isForeign(error)) return null;
    throw error;
  }
}

function isForeign(error: unknown): boolean {
  return error instanceof StoreUnavailable && error.message.startsWith('WRONGTYPE');
}
