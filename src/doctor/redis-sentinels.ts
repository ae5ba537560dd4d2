import type { Address } from '../option-kinds.ts';
import type { RedisAddress } from '../config.ts';
import { describeError } from '../errors.ts';
import { Lookout, type LookoutOptions } from '../redis/lookout.ts';
import { asArray, asText } from '../redis/replies.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

type ByName = Extract<RedisAddress, { kind: 'sentinel' }>;

const fewestSentinels = 3;

/** Whether the Sentinels can be asked, know the master, and agree on which it is. */
export async function examineSentinels(address: ByName, options: LookoutOptions): Promise<Finding[]> {
  const answers = await Promise.all(address.sentinels.map((sentinel) => askSentinel(sentinel, address, options)));
  const masters = new Set(answers.flatMap(({ master }) => (master === undefined ? [] : [master])));
  const silent = answers.filter(({ reason }) => reason !== undefined);
  const findings = silent.map(({ at, reason }) =>
    (silent.length === answers.length ? fail : warn)('redis.sentinels', {
      finding: `Sentinel ${at}: ${reason}`,
      meaning: 'While none of them tells the master, a new one is not found.',
      remedy: `redis-cli -h ${at.slice(0, at.lastIndexOf(':'))} -p ${at.slice(at.lastIndexOf(':') + 1)} SENTINEL masters   # is ${address.master} among them? Else REDIS_SENTINEL_NAME=...`,
    }),
  );
  if (masters.size > 1) {
    findings.push(
      fail('redis.sentinels', {
        finding: `the Sentinels disagree on the master: ${[...masters].join(', ')}`,
        meaning: 'Instances may use different servers for a while; the claim keeps their answers right.',
        remedy: `redis-cli -p <port of a Sentinel> SENTINEL RESET ${address.master}`,
      }),
    );
  }
  if (findings.length > 0) return findings;
  const count = answers.length;
  if (count >= fewestSentinels) return [ok('redis.sentinels', `${count} Sentinels agree on ${[...masters].join()}`)];
  return [
    warn('redis.sentinels', {
      finding: `${count} of the Sentinels ${count === 1 ? 'is' : 'are'} named in REDIS_SENTINELS`,
      meaning: 'When the machines of these are away no new master is found, even where others could tell.',
      remedy: 'REDIS_SENTINELS=host:port,host:port,host:port   # three, on three machines',
    }),
  ];
}

interface Told {
  readonly at: string;
  readonly master?: string;
  readonly reason?: string;
}

async function askSentinel({ host, port }: Address, address: ByName, options: LookoutOptions): Promise<Told> {
  const at = `${host}:${port}`;
  const { sentinelUsername: username, sentinelPassword: password, sentinelTls: tls } = address;
  const access = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
  const lookout = new Lookout({ kind: 'single', host, port, ...access }, options);
  try {
    const sight = await lookout.see('');
    const reply = await sight.ask(['SENTINEL', 'get-master-addr-by-name', address.master]);
    if (reply === null) return { at, reason: `knows no master by the name ${address.master}` };
    return { at, master: asArray(reply).map(asText).join(':') };
  } catch (error) {
    return { at, reason: describeError(error) };
  } finally {
    lookout.close();
  }
}
