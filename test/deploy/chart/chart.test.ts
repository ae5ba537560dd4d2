import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { isSecret, settingNames } from '../../../scripts/docs/configuration.ts';
import { loadConfig } from '../../../src/config.ts';
import { type Settings, options } from '../../../src/options.ts';
import { textOf } from '../../docs/documents.ts';
import { buildEngine, chartFolder, type Manifest, merge, renderChart, standardValues, type Values } from './chart.ts';
import { complaintsOfTypes, validate } from './validation.ts';

/** The Helm chart: what it renders to, and whether Kubernetes would take it. */

jest.setTimeout(300_000);

const least: Values = { settings: { REDIS_HOST: 'redis', DB_HOST: 'mysql', ALLOW_OPEN_WRITES: true } };
const everything: Values = {
  nameOverride: 'posts-cache',
  image: { digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'registry' }],
  workers: 4,
  secrets: {
    REDIS_URL: { name: 'energex', key: 'redis-url' },
    DB_PASSWORD: { name: 'energex', key: 'db-password' },
    METRICS_TOKEN: { name: 'energex-metrics', key: 'token' },
  },
  settings: { DB_HOST: 'mysql', SHUTDOWN_TIMEOUT_MS: 20_500, EVENT_LOG_ENTRIES: 1_000_000, LOG_REQUESTS: false },
  extraEnv: [{ name: 'NODE_OPTIONS', value: '--max-old-space-size=700' }],
  service: { annotations: { a: 'b' } },
  ingress: {
    enabled: true,
    className: 'nginx',
    annotations: { 'nginx.ingress.kubernetes.io/proxy-read-timeout': '90' },
    hosts: ['cache.example.com', 'cache.example.org'],
    tls: [{ hosts: ['cache.example.com'], secretName: 'tls' }],
  },
  autoscaling: { enabled: true },
  serviceAccount: { annotations: { a: 'b' } },
  serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
  prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
  grafanaDashboard: { enabled: true },
  migration: {
    enabled: true,
    settings: { DB_USERNAME: 'owner' },
    secrets: { DB_PASSWORD: { name: 'energex-owner', key: 'password' } },
  },
  networkPolicy: { enabled: true, from: [{ namespaceSelector: {} }], egressPorts: [4318] },
  podAnnotations: { a: 'b' },
  podLabels: { c: 'd' },
  priorityClassName: 'high',
  nodeSelector: { disk: 'fast' },
  tolerations: [{ key: 'a', operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
};

let engine = '';
beforeAll(async () => {
  engine = await buildEngine();
});

function rendered(values: Values): Record<string, Manifest> {
  return Object.fromEntries(renderChart(engine, values).manifests.map((manifest) => [manifest.kind, manifest]));
}

const podOf = (values: Values) => rendered(values)['Deployment']?.spec.template.spec;

describe.each([
  ['what must be given', least, 4],
  ['everything', everything, 11],
])('with %s', (_, values, count) => {
  test('all manifests are what Kubernetes and the Prometheus operator expect', async () => {
    const { manifests } = renderChart(engine, values);
    expect(manifests.length).toBe(count);
    for (const manifest of manifests) validate(manifest);
    expect(await complaintsOfTypes(manifests)).toBe('');
  });

  test('they belong together: one set of labels selects the pods', () => {
    const all = rendered(values);
    const labels = all['Deployment']?.spec.template.metadata.labels;
    const selectors = Object.values(all)
      .filter(({ kind }) => kind !== 'Ingress')
      .map(({ spec = {} }) => spec.podSelector ?? spec.selector)
      .filter((selector) => selector !== undefined)
      .map((selector) => selector.matchLabels ?? selector);
    expect(selectors.length).toBeGreaterThan(2);
    for (const selector of selectors) expect(labels).toMatchObject(selector);
  });
});

test('a manifest that is wrong is found out, by the schema or by the types', async () => {
  const { manifests } = renderChart(engine, least);
  const deployment = manifests.find(({ kind }) => kind === 'Deployment');
  if (deployment === undefined) throw new Error('no deployment');
  const wrong = structuredClone(deployment);
  wrong.spec.replicas = 'two';
  expect(() => validate(wrong)).toThrow('replicas must be integer');
  const strange = structuredClone(deployment);
  strange.spec.template.spec.containers[0].readynessProbe = {};
  expect(await complaintsOfTypes([strange])).toMatch(/readynessProbe.*does not exist/);
});

describe('settings', () => {
  const given = new Map(Object.entries(standardValues['settings'] ?? {}));
  const named = settingNames().filter((name) => !isSecret(name));

  test('are the defaults of the service, but for NODE_ENV', () => {
    expect(given.get('NODE_ENV')).toBe('production');
    for (const name of named.filter((each) => each !== 'NODE_ENV')) {
      const { default: standard, parse: read } = options[name];
      const text = given.get(name);
      const isNothing = text === undefined || text === '';
      expect([name, isNothing ? (standard ?? []) : read(String(text))]).toEqual([name, standard ?? []]);
    }
    expect([...given.keys()].filter((name) => !named.some((each) => each === name))).toEqual([]);
  });

  test('reach the service as they are meant: it reads its own defaults out of the pod', () => {
    const env: { name: string; value: string }[] = podOf(least).containers[0].env;
    const { settings } = loadConfig(Object.fromEntries(env.map(({ name, value }) => [name, value])));
    const expected: Partial<Record<keyof Settings, unknown>> = {
      ...Object.fromEntries(settingNames().map((name) => [name, options[name].default])),
      NODE_ENV: 'production',
      REDIS_HOST: 'redis',
      DB_HOST: 'mysql',
      ALLOW_OPEN_WRITES: 'true',
    };
    expect(settings).toEqual(expected);
  });

  test('large numbers and booleans become the text that the service reads', () => {
    const env: object[] = podOf(everything).containers[0].env;
    expect(env).toContainEqual({ name: 'EVENT_LOG_ENTRIES', value: '1000000' });
    expect(env).toContainEqual({ name: 'LOG_REQUESTS', value: 'false' });
    const traced = merge(least, { settings: { ...Object(least['settings']), OTEL_TRACES_SAMPLER_ARG: 0.25 } });
    expect(podOf(traced).containers[0].env).toContainEqual({ name: 'OTEL_TRACES_SAMPLER_ARG', value: '0.25' });
  });

  test('secrets are mounted as files that the service is told of', () => {
    const { containers, volumes } = podOf(everything);
    const file = '/run/secrets/energex-cache/DB_PASSWORD';
    expect(containers[0].env).toContainEqual({ name: 'DB_PASSWORD_FILE', value: file });
    const items = volumes.find(({ name }: { name: string }) => name === 'secrets').projected.sources;
    expect(items).toContainEqual({ secret: { name: 'energex', items: [{ key: 'db-password', path: 'DB_PASSWORD' }] } });
    expect(JSON.stringify(podOf(least))).not.toContain('/run/secrets');
  });

  test('without servers nothing is rendered', () => {
    expect(() => renderChart(engine, {})).toThrow('settings.REDIS_HOST must be given');
    expect(() => renderChart(engine, { settings: { REDIS_HOST: 'redis' } })).toThrow('settings.DB_HOST must be given');
    const withoutHosts = { ...least, ingress: { enabled: true } };
    expect(() => renderChart(engine, withoutHosts)).toThrow('ingress.hosts must name a host');
  });
});

describe('values.schema.json', () => {
  const accepts = new Ajv({ strict: false }).compile(JSON.parse(textOf(`${chartFolder}/values.schema.json`)));

  test('accepts the values of the chart, and everything', () => {
    expect([accepts(standardValues), accepts.errors]).toEqual([true, null]);
    expect([accepts(merge(standardValues, everything)), accepts.errors]).toEqual([true, null]);
  });

  test.each([
    ['a setting that does not exist', { settings: { REDIS_HOTS: 'redis' } }],
    ['a value that the service would refuse', { settings: { REDIS_TIMEOUT_MS: 0 } }],
    ['a choice that there is not', { settings: { CHANGE_FEED: 'bin-log' } }],
    ['a secret in plain text', { settings: { DB_PASSWORD: 'secret' } }],
    ['a secret that the service has not', { secrets: { PASSWORD: { name: 'a', key: 'b' } } }],
    ['a value of the chart that does not exist', { replicas: 3 }],
  ])('refuses %s', (_, values) => {
    expect(accepts(merge(standardValues, values))).toBe(false);
  });
});

describe('pods', () => {
  test.each([
    ['least', least, 5 + 9 + 1],
    ['everything', everything, 5 + 20.5 + 2],
  ])('are not killed before they could end by themselves (%s)', (_, values, needed) => {
    const { terminationGracePeriodSeconds: grace } = podOf(values);
    expect(grace).toBeGreaterThan(needed);
    expect(grace).toBeLessThan(needed + 5);
  });

  test('run as the image is made, with nothing that they do not need', () => {
    const user = Number(/^USER (\d+)/m.exec(textOf('Dockerfile'))?.[1]);
    const pod = podOf(everything);
    const [container] = pod.containers;
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: user },
    });
    expect(container).toMatchObject({
      args: ['serve', '--workers', '4'],
      image: `energex-cache@sha256:${'0'.repeat(64)}`,
      securityContext: {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      },
      livenessProbe: { httpGet: { path: '/livez', port: 'http' } },
      readinessProbe: { httpGet: { path: '/readyz', port: 'http' } },
      ports: [{ name: 'http', containerPort: 4000 }],
    });
  });
});

test('the alerts of the chart are those that are tested, under the name of the job that they ask for', () => {
  const all = rendered(everything);
  expect(all['PrometheusRule']?.spec).toEqual(parse(textOf('deploy/prometheus/alerts.yml')));
  expect(all['ServiceMonitor']?.spec.endpoints).toMatchObject([
    {
      relabelings: [{ targetLabel: 'job', replacement: 'energex-cache' }],
      authorization: { credentials: { name: 'energex-metrics', key: 'token' } },
    },
  ]);
});

test('tables are created by an account of their own, before the pods', () => {
  const job = rendered(everything)['Job'];
  const { containers, volumes } = Object(job?.spec.template.spec);
  expect(containers[0]).toMatchObject({ args: ['migrate'], image: podOf(everything).containers[0].image });
  expect(containers[0].env).toContainEqual({ name: 'DB_USERNAME', value: 'owner' });
  const files = { secret: { name: 'energex-owner', items: [{ key: 'password', path: 'DB_PASSWORD' }] } };
  expect(volumes[0].projected.sources).toContainEqual(files);
  // The pods keep the account that may not.
  expect(podOf(everything).containers[0].env).toContainEqual({ name: 'DB_USERNAME', value: 'root' });
  expect(rendered(least)['Job']).toBeUndefined();
});

test('the dashboard of the chart is the one of the project', () => {
  const { data } = Object(rendered(everything)['ConfigMap']);
  expect(JSON.parse(data['energex-cache.json'])).toEqual(JSON.parse(textOf('deploy/grafana/energex-cache.json')));
});

test('the notes say what is still missing, and the chart has the version of the package', () => {
  expect(renderChart(engine, least).notes).toContain('No browser can connect yet');
  expect(renderChart(engine, everything).notes).toContain('TRUSTED_PROXIES names no network');
  const { version } = JSON.parse(textOf('package.json'));
  expect(parse(textOf(`${chartFolder}/Chart.yaml`))).toMatchObject({ version, appVersion: version });
});
