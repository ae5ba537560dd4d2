import { connect, isIP } from 'node:net';
import type { ConnectionOptions } from 'mysql2';
import type { Tls } from '../tls-settings.ts';

/** Where a server is, as whom, and whether over TLS. */
export interface MysqlServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls?: Tls;
}

/**
 * What the driver is told of a server: by whoever connects to it, pool or not. With TLS the certificate is checked, and that it
 * is for the name of the server.
 *
 * The driver holds the certificate against the host that it is told, and against nothing that can be relied on when that is an
 * address. So it is told the name, and handed a connection to the host.
 */
export function reach({ tls, ...server }: MysqlServer): DriverOptions {
  if (tls === undefined) return server;
  const { servername = server.host, ...certificates } = tls;
  if (isIP(servername) !== 0) throw new TypeError(`no certificate is held against an address: ${servername}`);
  const { host, port } = server;
  return {
    ...server,
    host: servername,
    ssl: { ...certificates, rejectUnauthorized: true, verifyIdentity: true, minVersion: 'TLSv1.2' },
    stream: () => connect({ host, port, noDelay: true, keepAlive: true }),
  };
}

type DriverOptions = Pick<ConnectionOptions, 'ssl' | 'stream'> & Omit<MysqlServer, 'tls'>;
