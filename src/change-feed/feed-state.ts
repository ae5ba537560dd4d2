import type { Problem } from './server-checks.ts';

/** Where the feed stands; the story is told in `follower.ts`. */
export type FeedState =
  | { readonly name: 'off' }
  /** The server is not set up for a feed. Looked at again now and then. */
  | { readonly name: 'refused'; readonly problems: readonly Problem[] }
  /** Waits until no other instance leads. */
  | { readonly name: 'electing' }
  | { readonly name: 'starting' }
  | { readonly name: 'following' }
  /** The reader was silent while there was something to read, or the server does not answer. */
  | { readonly name: 'stalled'; readonly reason: string }
  | { readonly name: 'reconnecting'; readonly reason: string; readonly inMs: number };
