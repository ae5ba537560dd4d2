import { realmOf } from '../../src/doctor/redis-server.ts';
import { rightsOf } from '../../src/redis/rights.ts';

/** The line for one server, and what a cluster needs beside it. */
export function renderRights(): string {
  const single = rightsOf(realmOf({ kind: 'single', host: '', port: 0 }));
  const cluster = rightsOf(realmOf({ kind: 'cluster', nodes: [] })).filter((rule) => !single.includes(rule));
  const line = single.join(' ').replace(' -@all ', ' \\\n  -@all ').replace(' resetchannels ', ' \\\n  resetchannels ');
  return [
    '```text',
    `ACL SETUSER energex on >password ${line}`,
    '```',
    '',
    `For a Redis Cluster also, on each node: \`${cluster.join(' ')}\`.`,
  ].join('\n');
}
