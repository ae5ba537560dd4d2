import type { Reply } from './link.ts';
import { asText } from './replies.ts';

/** The version in a reply. One that was given out under another run of a server, or for another database, is none. */
export function versionIn(reply: Reply | undefined, trusted: string): string | null {
  if (reply === null) return null;
  const version = asText(reply);
  return version.startsWith(trusted) ? version : null;
}
