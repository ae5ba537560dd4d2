import type { Logger } from 'pino';
import type { Clock } from '../cache/clock.ts';
import { shedChannel, type ShedReason } from '../overload/shed.ts';

/** What the log says of overload: when it begins, how many were refused now and then, when it is over. */
export function reportOverload(log: Logger, clock: Pick<Clock, 'every'>): () => void {
  const refused = new Map<ShedReason, number>();
  let stopTelling: (() => void) | undefined;
  const tell = (): void => {
    const counts = [...refused].map(([reason, count]) => `${count} because ${meanings[reason]}`);
    refused.clear();
    if (counts.length > 0) {
      log.warn(`Overload: refused within ${periodMs / 1_000} s: ${counts.join(', ')}`);
      return;
    }
    log.info('Overload: over');
    stopTelling?.();
    stopTelling = undefined;
  };
  const note = (message: unknown): void => {
    // The channel carries what `publishShed` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const reason = message as ShedReason;
    refused.set(reason, (refused.get(reason) ?? 0) + 1);
    if (stopTelling !== undefined) return;
    log.warn(`Overload: clients are refused, because ${meanings[reason]}`);
    stopTelling = clock.every(periodMs, tell);
  };
  shedChannel.subscribe(note);
  return () => {
    shedChannel.unsubscribe(note);
    stopTelling?.();
  };
}

const meanings: Readonly<Record<ShedReason, string>> = {
  'event-loop': 'the event loop is late',
  database: 'too many wait for the database',
  connections: 'there are too many connections (`MAX_CONNECTIONS`, and the open files of the process)',
};
const periodMs = 10_000;
