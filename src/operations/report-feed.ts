import type { Logger } from 'pino';
import { type FeedEvent, feedChannel } from '../change-feed/channels.ts';
import type { Problem } from '../change-feed/server-checks.ts';

/** What the log says of the change feed: every change of its state that somebody may have to do something about. */
export function reportFeed(log: Logger): () => void {
  const told = new Set<string>();
  const once = (line: string, write: (line: string) => void): void => {
    if (told.has(line) || told.size > mostLines) return;
    told.add(line);
    write(line);
  };
  const reportState = (state: Extract<FeedEvent, { type: 'state' }>['state']): void => {
    switch (state.name) {
      case 'refused':
        for (const { problem, remedy } of state.problems.filter(({ isAdvice }) => !isAdvice)) {
          log.warn(`Change feed: OFF: ${problem}. Mend it with: ${remedy}`);
        }
        return;
      case 'following':
        told.clear();
        log.info('Change feed: following');
        return;
      case 'stalled':
      case 'reconnecting':
        once(`Change feed: ${state.name}: ${state.reason}`, (line) => log.warn(line));
        return;
      case 'electing':
        once('Change feed: waiting until no other instance follows', (line) => log.info(line));
        return;
      case 'off':
      case 'starting':
    }
  };
  const report = (message: unknown): void => {
    // The channel carries what `publish` of `change-feed/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as FeedEvent;
    if (event.type === 'state') reportState(event.state);
    if (event.type === 'advice') event.problems.forEach((each) => once(advice(each), (line) => log.warn(line)));
    if (event.type === 'cleared') log.info(`Change feed: all of ${event.resource} was invalidated: ${event.reason}`);
    if (event.type === 'started-over') {
      log.warn(`Change feed: everything was invalidated, and it goes on from the end: ${event.reason}`);
    }
  };
  feedChannel.subscribe(report);
  return () => {
    feedChannel.unsubscribe(report);
  };
}

function advice({ problem, remedy }: Problem): string {
  return `Change feed: works, but ${problem}. Mend it with: ${remedy}`;
}

const mostLines = 20;
