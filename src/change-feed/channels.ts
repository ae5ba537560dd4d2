import { channel } from 'node:diagnostics_channel';
import type { FeedState } from './feed-state.ts';
import type { Problem } from './server-checks.ts';

/** What the feed tells the world: logs, metrics, the dashboard and tests subscribe. */
export type FeedEvent =
  | { readonly type: 'state'; readonly state: FeedState }
  /** Works, and could be better. */
  | { readonly type: 'advice'; readonly problems: readonly Problem[] }
  /** So much took effect, at once. */
  | { readonly type: 'applied'; readonly rows: number; readonly names: number; readonly events: number }
  /** How long ago the end of the log was where the reader is now, in milliseconds; told with each heartbeat. */
  | { readonly type: 'lag'; readonly ms: number }
  /** All of a resource was invalidated, because it is not known what of it has changed. */
  | { readonly type: 'cleared'; readonly resource: string; readonly reason: string }
  /** Changes were lost: everything was invalidated, and the feed goes on from the end. */
  | { readonly type: 'started-over'; readonly reason: string };

export const feedChannel = channel('energex:feed');

export function publish(event: FeedEvent): void {
  feedChannel.publish(event);
}
