import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findNginx } from './binaries.ts';
import { LOOPBACK } from './free-port.ts';
import { makeServerFolder, ServerProcess } from './server-process.ts';

/** A real nginx. */
export type Nginx = { readonly url: string; readonly port: number; stop(): Promise<void> };

export type NginxPlan = {
  /** The text of `nginx.conf`, for the port and a folder that it may write to. */
  readonly configuration: (port: number, folder: string) => string;
  /** A path that is answered with 200 as soon as nginx is there. */
  readonly probe: string;
};

const startTimeoutMs = 15_000;
/** One process, so that none is left when it is killed. */
const directives = 'daemon off; master_process off;';

export async function startNginx(plan: NginxPlan): Promise<Nginx> {
  const binary = await findNginx();
  const folder = await makeServerFolder('nginx');
  const file = join(folder, 'nginx.conf');
  mkdirSync(join(folder, 'logs'));
  const server = new ServerProcess({
    label: `nginx ${binary.version}`,
    command: binary.command,
    arguments: (port) => {
      writeFileSync(file, plan.configuration(port, folder));
      return ['-c', file, '-p', folder, '-e', 'stderr', '-g', directives];
    },
    folder,
    probe: async (port) => {
      const response = await fetch(`http://${LOOPBACK}:${port}${plan.probe}`, { headers: { connection: 'close' } });
      await response.text();
      if (response.status !== 200) throw new Error(`answered ${response.status}`);
    },
    startTimeoutMs,
  });
  await server.start();
  return { url: `http://${LOOPBACK}:${server.port}`, port: server.port, stop: () => server.stop() };
}
