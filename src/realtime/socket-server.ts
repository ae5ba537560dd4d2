import type { Server as HttpServer } from 'node:http';
import { Server } from 'socket.io';
import type { PublishEvent } from '../resources/writer.ts';

/** Live events to the browsers: Socket.IO 4 on the default namespace and path. */
export interface SocketServer {
  readonly publish: PublishEvent;
  /** Ends all connections, in a way that makes the clients connect again, elsewhere. The HTTP server stays open. */
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
      // Only the connections are closed: a client that is told to disconnect (`disconnectSockets`) does not come back
      // by itself, and one that is between two polls could only be told by waiting for its next, for up to 30 seconds.
      io.engine.close();
      await io.of('/').adapter.close();
    },
  };
}
