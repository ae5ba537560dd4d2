import { createClient } from 'redis';
import { serve } from './serve-fastify.js';

/** Client-side caching of node-redis: replies are kept until the server says that their key has changed (RESP 3). */
const client = createClient({
  url: process.env.REDIS_URL,
  RESP: 3,
  clientSideCache: { ttl: 0, maxEntries: 20_000, evictPolicy: 'LRU' },
});
client.on('error', () => undefined);
await client.connect();

await serve(async ({ key, ttl, load }) => {
  const cached = await client.get(key);
  if (cached !== null) return JSON.parse(cached);
  const data = await load();
  await client.set(key, JSON.stringify(data), { EX: ttl });
  return data;
});
