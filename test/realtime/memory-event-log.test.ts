import { MemoryEventLog } from '../../src/realtime/memory-event-log.ts';
import { boundsUnderTest, describeEventLog } from '../contracts/event-log.ts';

describeEventLog('the in-memory event log', async () => {
  let now = 0;
  let count = 0;
  const unique = (): string => {
    count += 1;
    return `epoch-${count}`;
  };
  const log = new MemoryEventLog({ ...boundsUnderTest, now: () => now, unique });
  return {
    log,
    age: async () => {
      now += boundsUnderTest.longestMs + 1;
    },
    close: async () => undefined,
  };
});
