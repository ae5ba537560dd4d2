import { io, type ManagerOptions, type SocketOptions } from 'socket.io-client';
import { eventually } from './eventually.ts';

/** A Socket.IO client that notes what it hears. */
export type LiveClient = {
  /** Event and data, in the order of their arrival. */
  readonly heard: readonly (readonly [event: string, data: unknown])[];
  /** Resolves once so many events have been heard. */
  hears(count: number): Promise<void>;
  /** Runs `handler` in the very turn in which an event arrives, as a frontend does. */
  onEvent(handler: (event: string, data: unknown) => void): void;
  /** The reason, once the connection has ended. */
  readonly disconnected: Promise<string>;
  /** Whether it will connect again by itself. */
  readonly willReconnect: boolean;
  close(): void;
};

/** Connects, or rejects with the reason that the server or the network gave. */
export async function connectClient(
  url: string,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<LiveClient> {
  const socket = io(url, { forceNew: true, reconnection: false, transports: ['websocket'], ...options });
  const heard: [string, unknown][] = [];
  socket.onAny((event: string, data: unknown) => void heard.push([event, data]));
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', resolve);
    socket.on('connect_error', (error) => {
      socket.close();
      reject(error);
    });
  });
  return {
    heard,
    disconnected: new Promise((resolve) => socket.on('disconnect', resolve)),
    get willReconnect() {
      return socket.active;
    },
    hears: (count) => eventually(async () => heard.length >= count),
    onEvent: (handler) => void socket.onAny(handler),
    close: () => void socket.close(),
  };
}
