import { connect, createServer, type Server, type Socket } from 'node:net';
import { DelayedPipe, type LinkConditions } from './delayed-pipe.ts';
import { findFreePort, LOOPBACK } from './free-port.ts';

export type ProxyTarget = { readonly host: string; readonly port: number };

/** A TCP proxy whose network can be made to fail. Conditions hold for open and for new connections alike. */
export type TcpProxy = {
  readonly host: string;
  readonly port: number;
  /** How many clients are connected. */
  readonly connections: number;
  /** Adds `ms` milliseconds to each direction, so twice that to a round trip; 0 takes the delay away. */
  delay(ms: number): void;
  /** Connections stay open and new ones are accepted, but nothing is forwarded either way. */
  blackHole(): void;
  /** Ends the open connections by RST, on both sides. New ones work. */
  reset(): void;
  /** Ends the open connections, and refuses new ones until `restore`. */
  refuse(): Promise<void>;
  /** A good network again: no delay, no black hole, a listener on the same port. Swallowed bytes arrive now. */
  restore(): Promise<void>;
  /** New connections go to another server; those that are open stay where they are. */
  leadTo(target: ProxyTarget): void;
  /** Ends everything. Idempotent. */
  close(): Promise<void>;
};

const LISTEN_ATTEMPTS = 20;

type Link = { update(): void; reset(): void };

/** Starts a proxy on the loopback in front of `target`. */
export async function startProxy(first: ProxyTarget): Promise<TcpProxy> {
  let target = first;
  const conditions: LinkConditions = { delayMs: 0, blackHole: false };
  const links = new Set<Link>();
  const accept = (client: Socket): void => openLink(client, target, conditions, links);
  const update = (): void => links.forEach((link) => link.update());
  const reset = (): void => links.forEach((link) => link.reset());

  let { server, port }: { server: Server | undefined; port: number } = await listenAnywhere(accept);
  let closed = false;

  const stopListening = async (): Promise<void> => {
    const listening = server;
    server = undefined;
    const ended = listening === undefined ? undefined : closeServer(listening);
    reset();
    await ended;
  };

  return {
    host: LOOPBACK,
    port,
    get connections() {
      return links.size;
    },
    delay(ms) {
      conditions.delayMs = ms;
      update();
    },
    blackHole() {
      conditions.blackHole = true;
      update();
    },
    reset,
    refuse: stopListening,
    async restore() {
      if (closed) throw new Error('the proxy was closed');
      conditions.delayMs = 0;
      conditions.blackHole = false;
      update();
      server ??= await listen(accept, port);
    },
    leadTo(other) {
      target = other;
    },
    async close() {
      closed = true;
      await stopListening();
    },
  };
}

/**
 * Joins a client with the target. Under a black hole the target isn't dialled before the link is good again, as the
 * handshake's packets would be swallowed too.
 */
function openLink(client: Socket, target: ProxyTarget, conditions: LinkConditions, links: Set<Link>): void {
  let upstream: Socket | undefined;
  let pipes: DelayedPipe[] = [];
  const sockets = (): Socket[] => (upstream === undefined ? [client] : [client, upstream]);

  const link: Link = {
    update() {
      if (upstream === undefined && !conditions.blackHole) dial();
      for (const pipe of pipes) pipe.update();
    },
    reset() {
      links.delete(link);
      for (const pipe of pipes) pipe.close();
      for (const socket of sockets()) end(socket);
    },
  };
  const watch = (socket: Socket): void => {
    socket.setNoDelay(true);
    // A broken connection is broken for the other side as well; an orderly end goes through the pipes.
    socket.on('error', () => link.reset());
    socket.on('close', () => {
      if (sockets().every((one) => one.closed || one.destroyed)) links.delete(link);
    });
  };
  const dial = (): void => {
    upstream = connect({ host: target.host, port: target.port, allowHalfOpen: true });
    watch(upstream);
    pipes = [new DelayedPipe(client, upstream, conditions), new DelayedPipe(upstream, client, conditions)];
  };

  links.add(link);
  watch(client);
  link.update();
}

/** By RST. Where a FIN is on its way the kernel refuses that, and Node would keep the handle for ever (`uv_tcp_close_reset`). */
function end(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

function listen(accept: (client: Socket) => void, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept);
    server.once('error', reject);
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => resolve(server));
  });
}

async function listenAnywhere(accept: (client: Socket) => void): Promise<{ server: Server; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort();
    try {
      return { server: await listen(accept, port), port };
    } catch (error) {
      // Somebody else was faster.
      if (attempt === LISTEN_ATTEMPTS) throw error;
    }
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
