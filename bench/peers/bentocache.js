import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis';
import { serve } from './serve-fastify.js';

const { hostname: host, port } = new URL(process.env.REDIS_URL);
const connection = { host, port: Number(port) };
const cache = new BentoCache({
  default: 'posts',
  stores: {
    posts: bentostore()
      .useL1Layer(memoryDriver({ maxSize: '64mb' }))
      .useL2Layer(redisDriver({ connection }))
      .useBus(redisBusDriver({ connection })),
  },
});

await serve(({ key, ttl, load }) => cache.getOrSet({ key, ttl: ttl * 1000, factory: load }));
