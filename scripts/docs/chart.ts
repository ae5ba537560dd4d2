import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { options } from '../../src/options.ts';
import { isSecret, settingNames } from './configuration.ts';

/** The generated parts of the Helm chart: its settings, the schema of its values, and the alerts. */

const root = join(import.meta.dirname, '..', '..');
const chart = 'deploy/helm/energex-cache';
type Name = ReturnType<typeof settingNames>[number];

/** Settings that the chart has otherwise than the service: see the comment in `values.yaml`. */
const ofTheChart: ReadonlySet<Name> = new Set(['NODE_ENV'] as const);

const settingsOfTheChart = (): Name[] => settingNames().filter((name) => !isSecret(name));

/** The default of a setting as it would stand in the environment; undefined where there is none. */
function defaultText(name: Name): string | number | undefined {
  const { default: standard, shown }: { readonly default: unknown; readonly shown?: string } = options[name];
  if (shown !== undefined) return shown;
  if (standard === undefined || typeof standard === 'number') return standard;
  return typeof standard === 'string' ? standard : JSON.stringify(standard);
}

/** `values.yaml`, with the settings between their marks. */
export function renderValues(): string {
  const text = readFileSync(join(root, chart, 'values.yaml'), 'utf8');
  const marks = /( {2}# settings: begin\n)[\s\S]*( {2}# settings: end\n)/;
  if (!marks.test(text)) throw new Error('values.yaml has lost the marks of its settings');
  const lines = settingsOfTheChart().flatMap((name) =>
    ofTheChart.has(name) ? [] : [`  # ${options[name].description}`, `  ${lineOf(name)}`],
  );
  return text.replace(marks, (_, begin: string, end: string) => `${begin}${lines.join('\n')}\n${end}`);
}

function lineOf(name: Name): string {
  const value = defaultText(name);
  if (value === undefined) return `# ${name}:`;
  return `${name}: ${typeof value === 'number' ? value : `'${value}'`}`;
}

export function renderAlerts(): string {
  const text = readFileSync(join(root, 'deploy/prometheus/alerts.yml'), 'utf8');
  return `# deploy/prometheus/alerts.yml, copied by \`npm run docs\`: a chart reads its own files only.\n${text}`;
}

const text = { type: 'string' };
const texts = { type: 'object', additionalProperties: text };
const list = { type: 'array' };
const free = { type: 'object' };
const flag = { type: 'boolean' };
const count = (minimum: number, maximum?: number): object => ({
  type: 'integer',
  minimum,
  ...(maximum === undefined ? {} : { maximum }),
});

/** An object that has these members and no others. */
function closed(properties: Readonly<Record<string, object>>): object {
  return { type: 'object', additionalProperties: false, properties };
}

function schemaOf(name: Name): object {
  // A pod must say which port it has: 0, any free one, is none.
  if (name === 'PORT') return count(1, 65_535);
  const { kind } = options[name];
  const [, least, most] = /^integer, (\d+) to (\d+)$/.exec(kind) ?? [];
  if (least !== undefined) return count(Number(least), Number(most));
  if (kind === 'number, 0 to 1') return { type: 'number', minimum: 0, maximum: 1 };
  if (kind === 'true or false') return { enum: ['true', 'false', true, false] };
  const choices = kind.split(' or ');
  return choices.length > 1 && isChoice(name, choices) ? { enum: choices } : text;
}

/** Whether these and no others are values of the setting. */
function isChoice(name: Name, choices: readonly string[]): boolean {
  const isTaken = (given: string): boolean => {
    try {
      options[name].parse(given);
      return true;
    } catch {
      return false;
    }
  };
  return choices.every(isTaken) && !isTaken('none of them');
}

const reference = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'key'],
  properties: { name: { type: 'string', minLength: 1 }, key: { type: 'string', minLength: 1 } },
};

/** `values.schema.json`: Helm refuses values that it does not allow. */
export function renderSchema(): string {
  const settings = Object.fromEntries(settingsOfTheChart().map((name) => [name, schemaOf(name)]));
  const secrets = Object.fromEntries(
    settingNames()
      .filter(isSecret)
      .map((name) => [name, reference]),
  );
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...closed({
      // Of Helm itself, for charts of which this one is a part.
      global: free,
      nameOverride: text,
      fullnameOverride: text,
      image: closed({
        repository: { type: 'string', minLength: 1 },
        tag: text,
        digest: { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
        pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
      }),
      imagePullSecrets: list,
      replicaCount: count(0),
      workers: count(1, 256),
      secrets: closed(secrets),
      settings: { ...closed(settings), required: ['PORT', 'SHUTDOWN_TIMEOUT_MS', 'DB_PORT', 'REDIS_PORT'] },
      extraEnv: list,
      service: closed({
        type: { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
        port: count(1, 65_535),
        annotations: texts,
      }),
      ingress: closed({
        enabled: flag,
        className: text,
        annotations: texts,
        hosts: { type: 'array', items: text },
        paths: { type: 'array', items: { type: 'string', pattern: '^/' }, minItems: 1 },
        tls: list,
      }),
      autoscaling: closed({
        enabled: flag,
        minReplicas: count(1),
        maxReplicas: count(1),
        targetCPUUtilizationPercentage: count(1, 100),
      }),
      podDisruptionBudget: closed({ enabled: flag, maxUnavailable: { type: ['integer', 'string'] } }),
      serviceAccount: closed({ create: flag, name: text, annotations: texts }),
      serviceMonitor: closed({ enabled: flag, interval: text, labels: texts }),
      prometheusRule: closed({ enabled: flag, labels: texts }),
      grafanaDashboard: closed({ enabled: flag, labels: texts }),
      migration: closed({ enabled: flag, settings: closed(settings), secrets: closed(secrets) }),
      networkPolicy: closed({ enabled: flag, from: list, egressPorts: { type: 'array', items: count(1, 65_535) } }),
      resources: free,
      preStopSeconds: count(0, 600),
      terminationGracePeriodSeconds: count(0, 3_600),
      podAnnotations: texts,
      podLabels: texts,
      priorityClassName: text,
      nodeSelector: texts,
      tolerations: list,
      affinity: free,
      topologySpreadConstraints: list,
    }),
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}
