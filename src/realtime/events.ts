/** Names of our own begin with this; nobody else may broadcast them. */
const ownPrefix = 'energex:';

/** Tells a client that understands positions where it stands, and whether it has heard all before that. */
export const sessionEvent = `${ownPrefix}session`;
/** Tells such a client that its connection is about to end, and how long it should stay away. */
export const drainEvent = `${ownPrefix}drain`;

export function isOwnEvent(name: string): boolean {
  return name.startsWith(ownPrefix);
}
