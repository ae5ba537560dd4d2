import { channel } from 'node:diagnostics_channel';

/** What the live events tell the world, as `cache/channels.ts` does for the engine. */
export type RealtimeEvent =
  /** `up: false`: events go to the clients of this instance alone. */
  | { readonly type: 'event-log'; readonly up: boolean; readonly reason: string }
  /** So many events went out to the clients of this instance. */
  | { readonly type: 'deliver'; readonly events: number }
  /** A client is there. `recovered` is `undefined` for one that has named no position. */
  | { readonly type: 'join'; readonly recovered: boolean | undefined }
  /** A client was disconnected because it did not take what was sent to it, or because it sent too much. */
  | { readonly type: 'cut'; readonly reason: 'slow' | 'talkative' };

export const realtimeChannel = channel('energex:realtime');

export function publish(event: RealtimeEvent): void {
  realtimeChannel.publish(event);
}
