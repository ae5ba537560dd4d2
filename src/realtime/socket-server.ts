import type { Server as HttpServer } from 'node:http';
import { Server } from 'socket.io';
import type { PublishEvent } from '../resources/writer.ts';

/** Live events to the browsers: Socket.IO 4 on the default namespace and path. */
export interface SocketServer {
  readonly publish: PublishEvent;
  /** Tells all clients to go, and takes no new ones. The HTTP server stays open. */
  close(): Promise<void>;
}

const longestMessageBytes = 64 * 1024;

/**
 * `origins` are those that may connect. CORS does not cover WebSockets, so the handshake itself is checked. A client
 * without `Origin` is no browser page of another site: browsers send it with every WebSocket and every cross-origin request.
 */
export function openSocketServer(server: HttpServer, origins: readonly string[]): SocketServer {
  const io = new Server(server, {
    cors: { origin: [...origins], credentials: true },
    serveClient: false,
    maxHttpBufferSize: longestMessageBytes,
    allowRequest: (request, decide) => {
      const { origin } = request.headers;
      const isAllowed = origin === undefined || origins.includes(origin);
      decide(isAllowed ? null : 'this origin may not connect; add it to FRONTEND_URL', isAllowed);
    },
  });
  return {
    publish: (event, data) => {
      io.emit(event, data);
    },
    close: async () => {
      io.disconnectSockets(true);
      io.engine.close();
      await io.of('/').adapter.close();
    },
  };
}
