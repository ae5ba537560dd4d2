import type { Commit, Position, Since } from '../cache/store.ts';

/**
 * Positions as they stand in Redis: behind what a trusted version begins with. One that was noted under another claim, or of
 * another database, says nothing about what was committed meanwhile.
 */

export function sinceOf(stored: string, trusted: string): Since {
  return { position: stored.startsWith(trusted) ? stored.slice(trusted.length) : undefined, mark: stored };
}

/** `undefined` for `trusted`: the server is not trusted just now. */
export function storedOf(committed: Commit, trusted: string | undefined): string {
  if (committed === 'nothing') return '';
  return committed === 'unknown' || trusted === undefined ? unknown : storedPosition(committed.position, trusted);
}

export function storedPosition(position: Position, trusted: string): string {
  return trusted + position;
}

const unknown = '?';
