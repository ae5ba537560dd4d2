import { execFile } from 'node:child_process';
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { dashboardExpressions } from '../../scripts/docs/dashboard.ts';
import { type Definition, definitions, metricNames } from '../../src/operations/metrics/definitions.ts';
import { textOf } from '../docs/documents.ts';
import { findPromtool } from '../harness/binaries.ts';
import { connectClient } from '../harness/live-client.ts';
import { type Prometheus, startPrometheus } from '../harness/prometheus.ts';
import { parseScrape } from '../harness/scrape.ts';
import { backends, eventually, type Service, startService } from '../harness/service.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** A real Prometheus and its own tools: what it makes of the metrics, the alerts and the dashboard. */

/** Prometheus begins to scrape some seconds after its start, and starts slowly where there is much else to do. */
jest.setTimeout(90_000);

const rulesFolder = 'deploy/prometheus';
const stops = stopAfterEach();

async function start(environment: Readonly<Record<string, string>> = {}): Promise<Service> {
  const running = await backends.find(({ name }) => name !== 'embedded')?.start();
  if (running === undefined) throw new Error('no backend with servers');
  stops.push(running.stop);
  const service = await startService({ ...running.environment, ...environment });
  stops.push(service.stop);
  return service;
}

async function scrapeBy(service: Service, rules = 'groups: []'): Promise<Prometheus> {
  const configuration = `
global: { scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s }
rule_files: [alerts.yml]
scrape_configs:
  - job_name: energex-cache
    authorization: { credentials_file: token }
    static_configs: [{ targets: ['127.0.0.1:${service.port}'] }]
`;
  const prometheus = await startPrometheus(configuration, { token: 'prometheus-token', 'alerts.yml': rules });
  stops.push(prometheus.stop);
  return prometheus;
}

/** What promtool says, and how it ends. */
async function runPromtool(args: readonly string[], input = ''): Promise<{ code: number; said: string }> {
  const { command } = await findPromtool();
  return await new Promise((resolve) => {
    const child = execFile(command, args, { cwd: rulesFolder }, (error, stdout, stderr) => {
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

test('promtool accepts the configuration and the rules, and fires each alert', async () => {
  expect(await runPromtool(['check', 'config', 'prometheus.yml'])).toMatchObject({ code: 0 });
  expect(await runPromtool(['test', 'rules', 'alerts.test.yml'])).toMatchObject({ code: 0 });
});

test('Prometheus scrapes the service with a token, and answers what is asked of it', async () => {
  const service = await start({ METRICS_TOKEN: 'prometheus-token' });
  const prometheus = await scrapeBy(service);
  for (let count = 0; count < 5; count += 1) await service.get('/cache/posts');
  const sum = async (expression: string): Promise<number | undefined> => (await prometheus.query(expression))[0]?.value;
  await eventually(async () => (await sum('sum(energex_cache_requests_total)')) === 5, 30_000);
  expect(await sum('energex_redis_up')).toBe(1);
  expect(await sum('sum(energex_http_request_duration_seconds_count{route="/cache/posts"})')).toBe(5);
  const quantile = 'histogram_quantile(0.5, sum by (le) (energex_http_request_duration_seconds_bucket))';
  expect(await sum(quantile)).toBeGreaterThan(0);
  const { activeTargets } = await prometheus.api('targets');
  expect(activeTargets).toMatchObject([{ health: 'up', lastError: '' }]);
});

test('each panel of the dashboard shows something of a service that is in use, and no alert fires', async () => {
  const service = await start({ CHANGE_FEED: 'triggers' });
  const client = await connectClient(service.url);
  stops.push(async () => client.close());
  const prometheus = await scrapeBy(service, textOf(`${rulesFolder}/alerts.yml`));
  const valueOf = (expression: string): string =>
    expression.replaceAll('$job', 'energex-cache').replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m');
  const isShown = async (expression: string): Promise<boolean> => {
    const found = await prometheus.query(valueOf(expression));
    return found.some(({ value }) => !Number.isNaN(value));
  };
  let id = 0;
  await eventually(async () => {
    id += 1;
    // A hit, and something to load.
    await service.get('/cache/posts');
    await service.get(`/cache/posts/${id}`);
    const shown = await Promise.all(dashboardExpressions().map(isShown));
    return shown.every(Boolean);
  }, 40_000).catch(async (error: unknown) => {
    const shown = await Promise.all(dashboardExpressions().map(isShown));
    expect(dashboardExpressions().filter((_, index) => shown[index] !== true)).toEqual([]);
    throw error;
  });
  expect((await prometheus.api('alerts')).alerts.filter(({ state }: { state: string }) => state === 'firing')).toEqual(
    [],
  );
});

describe('the alerts', () => {
  type Rule = { readonly type: string; readonly name: string; readonly query: string; readonly annotations?: object };
  let rules: Rule[] = [];
  let exposed: readonly string[] = [];

  beforeAll(async () => {
    const service = await start();
    exposed = parseScrape((await service.get('/metrics')).text).names;
    const prometheus = await scrapeBy(service, textOf(`${rulesFolder}/alerts.yml`));
    const { groups } = await prometheus.api('rules');
    rules = groups.flatMap((group: { rules: Rule[] }) => group.rules);
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  const alerts = (): readonly Rule[] => rules.filter(({ type }) => type === 'alerting');

  test('have a runbook each, and there is none for others', () => {
    const headings = textOf('docs/operation.md').matchAll(/^### (Energex\w+)$/gm);
    const names = alerts().map(({ name }) => name);
    expect(names.length).toBeGreaterThan(10);
    expect(Array.from(headings, ([, name]) => name)).toEqual(names);
    expect(alerts().map(({ annotations }) => Object(annotations).runbook)).toEqual(
      names.map((name) => `docs/operation.md#${name.toLowerCase()}`),
    );
  });

  test('are each fired by a test of theirs', () => {
    const tested = textOf(`${rulesFolder}/alerts.test.yml`);
    expect(alerts().filter(({ name }) => !tested.includes(`{alertname="${name}"}`))).toEqual([]);
  });

  test('and the dashboard use the metrics and labels that the service has', () => {
    const expressions = [...rules.map(({ query }) => query), ...dashboardExpressions()];
    expect(expressions.flatMap((expression) => strangersIn(expression, exposed))).toEqual([]);
    const bad = 'rate(energex_cache_request_total{tier="memory"}[5m]) + energex_redis_up{node="1"}';
    expect(strangersIn(bad, exposed)).toEqual(['energex_cache_request_total', 'energex_redis_up{node}']);
  });

  test('every metric is on the dashboard', () => {
    const shown = dashboardExpressions().join('\n');
    expect(metricNames().filter((name) => !new RegExp(`\\b${name}(_bucket|_count)?\\b`).test(shown))).toEqual([]);
  });
});

/** What an expression asks for and the service does not have: names, or labels of them. */
function strangersIn(expression: string, exposed: readonly string[]): string[] {
  const given = new Map<string, Definition>(Object.entries(definitions));
  const known = new Set([...exposed, ...given.keys()]);
  const uses = expression.matchAll(/(?<!:)\b((?:energex|nodejs|process)_\w+)(?:\{([^}]*)\})?/g);
  return Array.from(uses).flatMap(([, name = '', matchers = '']) => {
    const family = known.has(name) ? name : name.replace(/_(bucket|count|sum)$/, '');
    if (!known.has(family)) return [name];
    const labels = new Set([...(given.get(family)?.labels ?? []), 'job', 'instance', 'worker']);
    const asked = Array.from(matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g), ([, label = '']) => label);
    return asked.filter((label) => !labels.has(label)).map((label) => `${name}{${label}}`);
  });
}
