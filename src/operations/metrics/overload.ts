import { shedChannel, type ShedReason, shedReasons } from '../../overload/shed.ts';
import type { Tallies } from './tallies.ts';

/** What is refused while there is too much to do. Returns how to stop counting. */
export function countShed(tallies: Tallies): () => void {
  const shed = tallies.numbers('energex_http_requests_shed_total');
  for (const reason of shedReasons) shed.at(reason);
  const count = (message: unknown): void => {
    // The channel carries what `publishShed` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    shed.at(message as ShedReason).value += 1;
  };
  shedChannel.subscribe(count);
  return () => {
    shedChannel.unsubscribe(count);
  };
}
