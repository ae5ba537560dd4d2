import express from 'express';
import { Redis } from 'ioredis';
import { envelope, tellPort, wanted } from './origin.js';

/** What people write first: Express, a Redis client, `JSON.parse`, `res.json`. */
const redis = new Redis(process.env.REDIS_URL);
const app = express();

async function answer(request, response) {
  const { key, ttl, load } = wanted(request);
  const cached = await redis.get(key);
  if (cached !== null) {
    response.json(envelope(JSON.parse(cached)));
    return;
  }
  const data = await load();
  await redis.set(key, JSON.stringify(data), 'EX', ttl);
  response.json(envelope(data));
}

app.get('/cache/posts', answer);
app.get('/cache/posts/:id', answer);
const server = app.listen(0, '127.0.0.1', () => tellPort(server.address().port));
