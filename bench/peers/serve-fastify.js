import { fastify } from 'fastify';
import { envelope, tellPort, wanted } from './origin.js';

/** The frame of the libraries that are compared: the same two routes inside Fastify; `read` is the library. */
export async function serve(read) {
  const app = fastify();
  const answer = async (request) => envelope(await read(wanted(request)));
  app.get('/cache/posts', answer);
  app.get('/cache/posts/:id', answer);
  await app.listen({ host: '127.0.0.1', port: 0 });
  tellPort(app.server.address().port);
}
