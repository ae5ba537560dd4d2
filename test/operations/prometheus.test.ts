import { execFile } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { findPromtool } from '../harness/binaries.ts';
import { startPrometheus } from '../harness/prometheus.ts';
import { backends, eventually, startService } from '../harness/service.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** A real Prometheus, and its own tools. */

const stops = stopAfterEach();
const backend = backends.find(({ name }) => name !== 'embedded');

async function start(environment: Readonly<Record<string, string>> = {}) {
  if (backend === undefined) throw new Error('no backend with servers');
  const running = await backend.start();
  stops.push(() => running.stop());
  const service = await startService({ ...running.environment, ...environment });
  stops.push(() => service.stop());
  return service;
}

/** What promtool says of a text that it is given, and how it ends. */
async function runPromtool(args: readonly string[], input: string): Promise<{ code: number; said: string }> {
  const { command } = await findPromtool();
  return await new Promise((resolve) => {
    const child = execFile(command, args, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), said: stdout + stderr });
    });
    child.stdin?.end(input);
  });
}

test('promtool has nothing to say against our metrics', async () => {
  const service = await start();
  await service.get('/cache/posts');
  await service.get('/cache/posts');
  const { text } = await service.get('/metrics');
  const { code, said } = await runPromtool(['check', 'metrics'], text);
  // 3: it parses, and some names are against the conventions; those of the library are not ours to change.
  expect([0, 3]).toContain(code);
  expect(said.split('\n').filter((line) => line.includes('energex_'))).toEqual([]);
  expect((await runPromtool(['check', 'metrics'], `${text}\nenergex_bad{\n`)).code).toBe(1);
});

test('Prometheus scrapes the service with a token, and answers what is asked of it', async () => {
  const service = await start({ METRICS_TOKEN: 'prometheus-token' });
  const prometheus = await startPrometheus(
    `
global: { scrape_interval: 200ms, scrape_timeout: 200ms }
scrape_configs:
  - job_name: energex-cache
    authorization: { credentials_file: token }
    static_configs: [{ targets: ['127.0.0.1:${service.port}'] }]
`,
    { token: 'prometheus-token' },
  );
  stops.push(() => prometheus.stop());
  for (let count = 0; count < 5; count += 1) await service.get('/cache/posts');
  const sum = async (expression: string): Promise<number | undefined> => (await prometheus.query(expression))[0]?.value;
  await eventually(async () => (await sum('sum(energex_cache_requests_total)')) === 5);
  expect(await sum('energex_redis_up')).toBe(1);
  expect(await sum('sum(energex_http_request_duration_seconds_count{route="/cache/posts"})')).toBe(5);
  const quantile = 'histogram_quantile(0.5, sum by (le) (energex_http_request_duration_seconds_bucket))';
  expect(await sum(quantile)).toBeGreaterThan(0);
  const { activeTargets } = await prometheus.api('targets');
  expect(activeTargets).toMatchObject([{ health: 'up', lastError: '' }]);
});
