import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findPrometheus } from './binaries.ts';
import { LOOPBACK } from './free-port.ts';
import { makeServerFolder, ServerProcess } from './server-process.ts';

/** A real Prometheus with data of its own. */
export type Prometheus = {
  readonly url: string;
  /** The values of an instant query, with their labels. */
  query(expression: string): Promise<readonly { readonly labels: Record<string, string>; readonly value: number }[]>;
  /** Any other part of its HTTP API: the member `data` of the answer. */
  api(path: string): Promise<ReturnType<typeof JSON.parse>>;
  stop(): Promise<void>;
};

const startTimeoutMs = 30_000;

/** `configuration` is the text of `prometheus.yml`; `files` come beside it. */
export async function startPrometheus(
  configuration: string,
  files: Readonly<Record<string, string>> = {},
): Promise<Prometheus> {
  const binary = await findPrometheus();
  const folder = await makeServerFolder('prometheus');
  for (const [name, content] of Object.entries({ ...files, 'prometheus.yml': configuration })) {
    await writeFile(join(folder, name), content);
  }
  const server = new ServerProcess({
    label: `Prometheus ${binary.version}`,
    command: binary.command,
    arguments: (port) => [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${LOOPBACK}:${port}`,
    ],
    folder,
    probe: async (port) => {
      const response = await fetch(`http://${LOOPBACK}:${port}/-/ready`, { headers: { connection: 'close' } });
      await response.text();
      if (response.status !== 200) throw new Error(`not ready: ${response.status}`);
    },
    startTimeoutMs,
  });
  await server.start();
  const url = `http://${LOOPBACK}:${server.port}`;
  const api: Prometheus['api'] = async (path) => {
    const response = await fetch(`${url}/api/v1/${path}`, { headers: { connection: 'close' } });
    const { data, error } = JSON.parse(await response.text());
    if (response.status !== 200) throw new Error(`${path}: ${error}`);
    return data;
  };
  return {
    url,
    api,
    async query(expression) {
      const { result } = await api(`query?query=${encodeURIComponent(expression)}`);
      return result.map(({ metric, value }: { metric: Record<string, string>; value: [number, string] }) => ({
        labels: metric,
        value: Number(value[1]),
      }));
    },
    stop: () => server.stop(),
  };
}
