import type { RedisAddress } from '../config.ts';
import type { Finding } from './finding.ts';

type Trouble = Pick<Finding, 'finding' | 'meaning' | 'remedy'>;

/** The beginning of a redis-cli command for a server. `name` is `host:port` of a node. */
export function cliFor(address: RedisAddress, name: string): string {
  const colon = name.lastIndexOf(':');
  const [host, port] =
    address.kind === 'single' ? [address.host, address.port] : [name.slice(0, colon), name.slice(colon + 1)];
  const password = address.password === undefined ? '' : 'REDISCLI_AUTH=... ';
  const user = address.username === undefined ? '' : ` --user ${address.username}`;
  const tls = address.tls === undefined ? '' : ' --tls';
  return `${password}redis-cli -h ${host} -p ${port}${user}${tls}`;
}

/** What a failure to connect means, by what the server or the system said. */
export function adviceOn(reason: string, address: RedisAddress, name: string): Trouble {
  const where = name === '' ? '' : `${name}: `;
  const meaning = 'Nothing is cached: reads go to the database, and writes are recorded in the outbox.';
  const finding = `${where}Redis cannot be used: ${reason}`;
  const ofTls = adviceOnTls(reason);
  if (ofTls !== undefined) return { finding, meaning, remedy: ofTls };
  if (/WRONGPASS|invalid (username-password|password)/i.test(reason)) {
    return {
      finding,
      meaning,
      remedy: 'REDIS_PASSWORD=...   # and REDIS_USERNAME, as `ACL LIST` or requirepass of Redis has them',
    };
  }
  if (/NOAUTH|Authentication required/i.test(reason)) {
    return { finding, meaning, remedy: 'REDIS_PASSWORD=...   # Redis wants one (requirepass)' };
  }
  if (/no password is set|without any password configured/i.test(reason)) {
    return { finding, meaning, remedy: 'REDIS_PASSWORD=   # Redis has none; or: redis-cli CONFIG SET requirepass ...' };
  }
  if (/cluster support disabled/i.test(reason)) {
    return { finding, meaning, remedy: 'REDIS_HOST=... instead of REDIS_CLUSTER_NODES   # it is no cluster' };
  }
  if (/NOPERM/i.test(reason)) {
    return { finding, meaning, remedy: "redis-cli ACL SETUSER <user> on '>password' '~*' '&*' +@all" };
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(reason)) {
    return { finding, meaning, remedy: 'REDIS_HOST=...   # the name leads nowhere from here' };
  }
  if (/ECONNRESET|EPIPE|the connection was closed/.test(reason)) {
    if (address.tls === undefined) {
      return { finding, meaning, remedy: 'REDIS_TLS=on   # a server that wants TLS closes a connection without' };
    }
    // With TLS 1.3 a client is through the handshake by the time the server misses the certificate.
    if (address.tls.cert === undefined) return { finding, meaning, remedy: ownCertificate };
  }
  if (address.tls !== undefined && /ETIMEDOUT|no connection within|before secure TLS/.test(reason)) {
    return { finding, meaning, remedy: 'REDIS_TLS=off   # if it speaks no TLS at this port; else: does it run?' };
  }
  const remedy =
    address.kind === 'single'
      ? `${cliFor(address, name)} ping   # from this machine: is it running, does a firewall let it through?`
      : `redis-cli -h <host> -p <port> ping   # of each that the settings name, from this machine`;
  return { finding, meaning, remedy };
}

const ownCertificate =
  'REDIS_TLS_CERT_FILE=... REDIS_TLS_KEY_FILE=...   # Redis may want a certificate that its authority has signed';

/** What is to be set when the handshake fails, by what OpenSSL and Node call it. */
function adviceOnTls(reason: string): string | undefined {
  if (/altnames|Hostname\/IP does not match/i.test(reason)) {
    return 'REDIS_TLS_SERVERNAME=...   # a name that the certificate of Redis has';
  }
  if (/self[- ]signed certificate|unable to (verify|get)|certificate (has expired|is not yet valid)/i.test(reason)) {
    return 'REDIS_TLS_CA_FILE=...   # the authority that has signed the certificate of Redis; is that still valid?';
  }
  if (/certificate required|alert (handshake failure|bad certificate|unknown ca|certificate)/i.test(reason)) {
    return ownCertificate;
  }
  if (/wrong version number|packet length too long/i.test(reason)) {
    return 'REDIS_TLS=off   # and redis:// instead of rediss://: it speaks no TLS at this port';
  }
  return undefined;
}
