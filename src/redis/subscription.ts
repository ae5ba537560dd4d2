import { openClient, type RedisConnectionOptions } from './connection.ts';
import type { Subscribe } from './link.ts';

/** Subscribes on a connection of its own. What is published while it is down is lost. */
export function subscriber(options: Omit<RedisConnectionOptions, 'name'>): Subscribe {
  return (channel, heard) => {
    const client = openClient({ ...options, name: 'energex-cache-notices' });
    client.on('ready', () => void client.subscribe(channel).catch(toldByOthers));
    client.on('error', toldByOthers);
    client.on('message', (_channel: string, text: string) => heard(text));
    client.connect().catch(toldByOthers);
    return () => client.disconnect();
  };
}

/** For errors that matter to nobody: the connections for commands tell what is wrong, and a lost notice does no harm. */
export function toldByOthers(): void {
  // Nothing to do.
}
