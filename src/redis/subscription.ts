import { openClient, type RedisConnectionOptions } from './connection.ts';
import type { Subscribe } from './link.ts';

/** Subscribes on a connection of its own. What is published while it is down is lost. */
export function subscriber(options: Omit<RedisConnectionOptions, 'name'>): Subscribe {
  return (channel, heard) => {
    const client = openClient({ ...options, name: 'energex-cache-notices' });
    client.on('ready', () => void client.subscribe(channel).catch(() => undefined));
    // The connections for commands tell what is wrong.
    client.on('error', () => undefined);
    client.on('message', (_channel: string, text: string) => heard(text));
    client.connect().catch(() => undefined);
    return () => client.disconnect();
  };
}
