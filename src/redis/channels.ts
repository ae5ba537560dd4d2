import { channel } from 'node:diagnostics_channel';

/** What the connections to Redis tell the world: metrics and traces subscribe. */
export interface CommandsEvent {
  /** The first of the commands that went out together; a script by its name in `lua/`. */
  readonly command: string;
  readonly count: number;
  /** Of `performance.now()`. */
  readonly startedAt: number;
  readonly ms: number;
  readonly failed: boolean;
}

export const commandsChannel = channel('energex:redis');

export function publish(event: CommandsEvent): void {
  commandsChannel.publish(event);
}
