import { type FeedEvent, feedChannel } from '../../change-feed/channels.ts';
import type { FeedState } from '../../change-feed/feed-state.ts';
import type { Tallies } from './tallies.ts';

/** The change feed of this instance. Returns how to stop counting. */
export function countFeed(tallies: Tallies): () => void {
  const lag = new Lag();
  const lags = tallies.numbers('energex_change_feed_lag_seconds');
  const states = tallies.numbers('energex_change_feed_state');
  const rows = tallies.numbers('energex_change_feed_rows_total').at();
  const clearings = tallies.numbers('energex_change_feed_clearings_total').at();
  let state: FeedState['name'] = 'off';
  const count = (message: unknown): void => {
    // The channel carries what `publish` of `change-feed/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as FeedEvent;
    if (event.type === 'lag') lag.told(event.ms);
    if (event.type === 'applied') rows.value += event.rows;
    if (event.type === 'cleared') clearings.value += 1;
    if (event.type !== 'state') return;
    state = event.state.name;
    lag.enter(state);
  };
  tallies.beforeReading(() => {
    for (const name of stateNames) states.at(name).value = name === state ? 1 : 0;
    const seconds = lag.seconds();
    if (seconds === undefined) lags.clear();
    else lags.at().value = seconds;
  });
  feedChannel.subscribe(count);
  return () => {
    feedChannel.unsubscribe(count);
  };
}

/** There is none while this instance does not lead; and it grows while the leader reads nothing. */
class Lag {
  #isReading = false;
  #ms: number | undefined;
  #toldAt = 0;

  told(ms: number): void {
    this.#ms = ms;
    this.#toldAt = performance.now();
  }

  enter(state: FeedState['name']): void {
    this.#isReading = state === 'following';
    if (state === 'following') this.told(0);
    if (state === 'off' || state === 'refused' || state === 'electing') this.#ms = undefined;
  }

  seconds(): number | undefined {
    if (this.#ms === undefined) return undefined;
    return (this.#ms + (this.#isReading ? 0 : performance.now() - this.#toldAt)) / 1_000;
  }
}

const stateNames: readonly FeedState['name'][] = [
  'off',
  'refused',
  'electing',
  'starting',
  'following',
  'stalled',
  'reconnecting',
];
