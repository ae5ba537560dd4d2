import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '../../test/harness/free-port.ts';
import { everyCore, type PinnedProcess, serverCore, startPinned } from './pinned-process.ts';
import { root, type Stage } from './stage.ts';

/** The servers that are measured, each alone on its processor while its turn lasts. */

/** The service as it is deployed; `checkout` is a folder in which it was built. */
export function startService(
  stage: Stage,
  settings: Readonly<Record<string, string>> = {},
  checkout = root,
  preloads: readonly string[] = [],
) {
  const profile = process.env['BENCH_PROFILE'];
  const all = profile === undefined ? preloads : [...preloads, 'bench/stage/profile.ts'];
  const flags = all.flatMap((file) => ['--import', join(root, file)]);
  const environment = {
    ...stage.environment,
    ...settings,
    ...(profile === undefined ? {} : { BENCH_PROFILE: profile }),
  };
  return startPinned(serverCore, [process.execPath, ...flags, 'dist/main.js', 'serve'], environment, checkout);
}

/** Where `BENCH_PROFILE` names a folder: from now on the CPU profile of the first of them is written. */
export function beginProfile([first]: Iterable<PinnedProcess>): void {
  if (process.env['BENCH_PROFILE'] !== undefined && first !== undefined) process.kill(first.pid, 'SIGWINCH');
}

/** The service as if it had no metrics. */
export function startUncounted(stage: Stage): Promise<PinnedProcess> {
  return startService(stage, {}, root, ['bench/stage/uncounted.ts']);
}

/** The service with several workers, on all processors. */
export async function startWorkers(stage: Stage, count: number): Promise<PinnedProcess> {
  const environment = { ...stage.environment, PORT: String(await findFreePort()) };
  const command = [process.execPath, 'dist/main.js', 'serve', '--workers', String(count)];
  return await startPinned(everyCore, command, environment, root);
}

/** `startRaw` by `node:cluster`. */
export function startRawCluster(stage: Stage, body: Buffer, count: number): Promise<PinnedProcess> {
  return startRaw(stage, body, { core: everyCore, count });
}

export function startRaw(
  stage: Stage,
  body: Buffer,
  { core = serverCore, count = 0 }: { core?: string; count?: number } = {},
): Promise<PinnedProcess> {
  const file = join(stage.folder, `body-${body.length}`);
  writeFileSync(file, body);
  return startPinned(core, [process.execPath, join(root, 'bench/servers/raw.ts'), file, String(count)]);
}

/** The bare driver, which does what it is told: see the file. */
export function startDriver(stage: Stage): Promise<PinnedProcess> {
  return startPinned(serverCore, [process.execPath, join(root, 'bench/servers/driver.ts')], stage.environment);
}

export const peers = ['express', 'bentocache', 'async-cache-dedupe', 'node-redis'] as const;
export type Peer = (typeof peers)[number];

export function startPeer(stage: Stage, peer: Peer): Promise<PinnedProcess> {
  return startPinned(serverCore, [process.execPath, join(root, `bench/peers/${peer}.js`)], stage.environment);
}

/** Into `bench/peers` alone. */
export function installPeers(): void {
  const folder = join(root, 'bench/peers');
  if (existsSync(join(folder, 'node_modules'))) return;
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'ignore' });
}

const nginx = '/usr/sbin/nginx';
export const hasNginx = existsSync(nginx);

/** One worker with `proxy_cache` in front of `origin`; every answer is cached for the whole run. */
export async function startNginx(stage: Stage, origin: PinnedProcess): Promise<PinnedProcess> {
  const port = await findFreePort();
  const folder = join(stage.folder, `nginx-${port}`);
  mkdirSync(folder);
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfiguration(folder, port, origin.port));
  return await startPinned(serverCore, [
    'sh',
    '-c',
    `echo listening on ${port}; exec ${nginx} -c ${file} -p ${folder} -e stderr`,
  ]);
}

function nginxConfiguration(folder: string, port: number, origin: number): string {
  return `daemon off; master_process off; pid ${folder}/pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  proxy_cache_path ${folder}/cache keys_zone=bench:64m max_size=1g inactive=1h use_temp_path=off;
  open_file_cache max=20000 inactive=1h;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://127.0.0.1:${origin}; proxy_cache bench; proxy_cache_valid 200 1h; }
  }
}
`;
}
