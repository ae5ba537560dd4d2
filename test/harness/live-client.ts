import { Socket } from 'node:net';
import { io, type ManagerOptions, type SocketOptions } from 'socket.io-client';
import { eventually } from './eventually.ts';

export type Place = { readonly epoch: string; readonly offset: number; readonly version: number };

/** A Socket.IO client that notes what it hears. */
export type LiveClient = {
  /** Event and data, in the order of their arrival. */
  readonly heard: readonly (readonly [event: string, data: unknown])[];
  /** Where each of them stands in the event log. */
  readonly places: readonly Place[];
  /** What the service says of the session to a client that sends `epoch` in its `auth`. */
  readonly sessions: readonly (Omit<Place, 'version'> & { readonly recovered: boolean })[];
  /** Sends an event, and resolves with the answer. */
  ask(event: string, data: unknown): Promise<unknown>;
  /** Sends an event. */
  send(event: string, data: unknown): void;
  /** As a client that stops reading does. Returns how it goes on. */
  stopReading(): () => void;
  /** Resolves once so many events have been heard. */
  hears(count: number): Promise<void>;
  /** Runs `handler` in the very turn in which an event arrives, as a frontend does. */
  onEvent(handler: (event: string, data: unknown) => void): void;
  /** The same with all that came, from the first event on. */
  onRaw(handler: (event: string, data: unknown, place: unknown) => void): void;
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
  const raw: [string, unknown, unknown][] = [];
  const places: Place[] = [];
  const sessions: LiveClient['sessions'][number][] = [];
  socket.onAny((event: string, data: unknown, place: unknown) => {
    raw.push([event, data, place]);
    if (event === 'energex:session') {
      sessions.push(Object(data));
      return;
    }
    heard.push([event, data]);
    places.push(Object(place));
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', resolve);
    socket.on('connect_error', (error) => {
      socket.close();
      reject(error);
    });
  });
  return {
    heard,
    places,
    sessions,
    ask: (event, data) => socket.timeout(5_000).emitWithAck(event, data),
    send: (event, data) => void socket.emit(event, data),
    stopReading: () => {
      const webSocket: unknown = Reflect.get(Object(socket.io.engine?.transport), 'ws');
      const underneath: unknown = Reflect.get(Object(webSocket), '_socket');
      if (!(underneath instanceof Socket)) throw new Error('only a client by WebSocket can stop reading');
      underneath.pause();
      return () => void underneath.resume();
    },
    disconnected: new Promise((resolve) => socket.on('disconnect', resolve)),
    get willReconnect() {
      return socket.active;
    },
    hears: (count) => eventually(async () => heard.length >= count),
    onEvent: (handler) => void socket.onAny(handler),
    onRaw: (handler) => {
      for (const each of raw) handler(...each);
      socket.onAny(handler);
    },
    close: () => void socket.close(),
  };
}
