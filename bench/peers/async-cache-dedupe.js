import { createCache } from 'async-cache-dedupe';
import { Redis } from 'ioredis';
import { loadPost, loadPosts } from './origin.js';
import { serve } from './serve-fastify.js';

const cache = createCache({
  ttl: 600,
  storage: { type: 'redis', options: { client: new Redis(process.env.REDIS_URL) } },
});
cache.define('post', async (id) => await loadPost(id));
cache.define('posts', { ttl: 300 }, async (limit) => await loadPosts(limit === 'all' ? undefined : limit));

await serve(({ key }) => {
  const [, name, argument] = key.split(':');
  return name === 'post' ? cache.post(argument) : cache.posts(argument);
});
