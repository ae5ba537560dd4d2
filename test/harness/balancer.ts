import { connect, createServer, type Socket } from 'node:net';
import { LOOPBACK } from './free-port.ts';

/**
 * Stands before several instances as a service of Kubernetes does: each new connection goes to the next of those that are in
 * turn, and stays there; one that is taken out of turn keeps the connections that it has. Nothing is tried again.
 */
export type Balancer = {
  readonly url: string;
  /** Instances by their ports; connections that are made from now on go to one of these. */
  lead(ports: readonly number[]): void;
  stop(): Promise<void>;
};

export async function startBalancer(): Promise<Balancer> {
  let ports: readonly number[] = [];
  let turn = 0;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const port = ports[(turn += 1) % ports.length];
    if (port === undefined) {
      client.resetAndDestroy();
      return;
    }
    const instance = connect({ host: LOOPBACK, port, allowHalfOpen: true });
    for (const socket of [client, instance]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    client.on('error', () => instance.destroy());
    // What the instance resets is reset for the client as well.
    instance.on('error', () => client.resetAndDestroy());
    client.pipe(instance).pipe(client);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, LOOPBACK, resolve);
  });
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return {
    url: `http://${LOOPBACK}:${port}`,
    lead(next) {
      ports = next;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
