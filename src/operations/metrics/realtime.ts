import { type RealtimeEvent, realtimeChannel } from '../../realtime/channels.ts';
import type { Tallies } from './tallies.ts';

/** The live events of this process. Returns how to stop counting. */
export function countRealtime(tallies: Tallies, connections: () => number): () => void {
  const connected = tallies.numbers('energex_ws_connections').at();
  const recoveries = tallies.numbers('energex_ws_recoveries_total');
  const events = tallies.numbers('energex_ws_events_total').at();
  const cuts = tallies.numbers('energex_ws_cuts_total');
  for (const result of ['recovered', 'lost']) recoveries.at(result);
  for (const reason of ['slow', 'talkative']) cuts.at(reason);
  const count = (message: unknown): void => {
    // The channel carries what `publish` of `realtime/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as RealtimeEvent;
    if (event.type === 'deliver') events.value += event.events;
    if (event.type === 'cut') cuts.at(event.reason).value += 1;
    if (event.type !== 'join' || event.recovered === undefined) return;
    recoveries.at(event.recovered ? 'recovered' : 'lost').value += 1;
  };
  tallies.beforeReading(() => {
    connected.value = connections();
  });
  realtimeChannel.subscribe(count);
  return () => {
    realtimeChannel.unsubscribe(count);
  };
}
