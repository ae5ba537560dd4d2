import { createServer, get, type Server } from 'node:http';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Part } from '../workers.ts';

/**
 * The metrics of processes that share a port (`operations/workers.ts`): a scrape comes to any of them, and is to tell of all.
 * So each answers the others by a socket in the folder that only their user can enter. The values keep the number of their
 * process as a label instead of being added up: a sum would fall when one process ends, which Prometheus takes for a restart
 * of all of them.
 */
export class WorkerMetrics {
  readonly #part: Part;
  readonly #server: Server;

  /** `own` reads the metrics of this process. */
  constructor(part: Part, own: () => Promise<readonly object[]>) {
    this.#part = part;
    this.#server = createServer((_request, response) => {
      void own().then(
        (metrics) => response.end(JSON.stringify(metrics)),
        () => response.destroy(),
      );
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(join(this.#part.folder, `${this.#part.number}${suffix}`), resolve);
    });
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** What the others say of themselves, each within a second; one that is gone, or hangs, is left out. */
  async others(): Promise<readonly (readonly object[])[]> {
    const { folder, number } = this.#part;
    const names = await readdir(folder);
    const sockets = names.filter((name) => name.endsWith(suffix) && name !== `${number}${suffix}`);
    const answers = await Promise.all(
      sockets.map(async (name) => await ask(join(folder, name)).catch(() => undefined)),
    );
    return answers.filter((answer) => answer !== undefined);
  }
}

async function ask(socketPath: string): Promise<readonly object[]> {
  const body = await new Promise<string>((resolve, reject) => {
    const signal = AbortSignal.timeout(patienceMs);
    get({ socketPath, path: '/', agent: false, signal }, (response) => {
      text(response).then(resolve, reject);
    }).on('error', reject);
  });
  const metrics: unknown = JSON.parse(body);
  if (!Array.isArray(metrics)) throw new TypeError('no list of metrics');
  return metrics;
}

const suffix = '.metrics.sock';
const patienceMs = 1_000;
