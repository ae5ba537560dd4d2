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
  const remedy =
    address.kind === 'single'
      ? `${cliFor(address, name)} ping   # from this machine: is it running, does a firewall let it through?`
      : `redis-cli -h <host> -p <port> ping   # of each that the settings name, from this machine`;
  return { finding, meaning, remedy };
}
