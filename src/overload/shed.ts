import { channel } from 'node:diagnostics_channel';
import { CatalogueError, type ErrorCode } from '../errors.ts';

/** Requests that are refused because there is too much to do, by what is late: the event loop, or connections to the database. */
export type RefusalReason = 'event-loop' | 'database';

/** Connections that are refused count too. */
export type ShedReason = RefusalReason | 'connections';

/** What requests are answered. */
const codes: Readonly<Record<RefusalReason, ErrorCode>> = { 'event-loop': 'OVERLOADED', database: 'DATABASE_BUSY' };

export const shedReasons: readonly ShedReason[] = ['event-loop', 'database', 'connections'];

export class Shed extends CatalogueError {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason) {
    super(codes[reason]);
    this.reason = reason;
  }
}

/** Hears of each of them: metrics and the log subscribe. */
export const shedChannel = channel('energex:shed');

export function publishShed(reason: ShedReason): void {
  shedChannel.publish(reason);
}
