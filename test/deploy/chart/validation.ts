import { spawnSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule';
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1/Ingress';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { root } from '../../../scripts/docs/generated.ts';
import { makeServerFolder } from '../../harness/server-process.ts';
import type { Manifest } from './chart.ts';

/**
 * Holds manifests against the models of Kubernetes and of the Prometheus operator: against their JSON Schemas, which tell of
 * what is missing or of another type, and against their TypeScript types, which tell of members that do not exist.
 */

const operator = '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
const models = {
  'apps/v1 Deployment': { model: Deployment, path: 'kubernetes-models/apps/v1' },
  'autoscaling/v2 HorizontalPodAutoscaler': {
    model: HorizontalPodAutoscaler,
    path: 'kubernetes-models/autoscaling/v2',
  },
  'networking.k8s.io/v1 Ingress': { model: Ingress, path: 'kubernetes-models/networking.k8s.io/v1' },
  'networking.k8s.io/v1 NetworkPolicy': { model: NetworkPolicy, path: 'kubernetes-models/networking.k8s.io/v1' },
  'policy/v1 PodDisruptionBudget': { model: PodDisruptionBudget, path: 'kubernetes-models/policy/v1' },
  'batch/v1 Job': { model: Job, path: 'kubernetes-models/batch/v1' },
  'v1 ConfigMap': { model: ConfigMap, path: 'kubernetes-models/v1' },
  'v1 Service': { model: Service, path: 'kubernetes-models/v1' },
  'v1 ServiceAccount': { model: ServiceAccount, path: 'kubernetes-models/v1' },
  'monitoring.coreos.com/v1 PrometheusRule': { model: PrometheusRule, path: operator },
  'monitoring.coreos.com/v1 ServiceMonitor': { model: ServiceMonitor, path: operator },
} as const;

type Kind = keyof typeof models;

function kindOf({ apiVersion, kind }: Manifest): Kind {
  const name = `${apiVersion} ${kind}`;
  if (!(name in models)) throw new Error(`there is no model of ${name}`);
  return name as Kind;
}

/** Throws what the JSON Schema of its kind has to say against a manifest. */
export function validate(manifest: Manifest): void {
  const { model: Model } = models[kindOf(manifest)];
  new Model(manifest).validate();
}

const tscTimeoutMs = 60_000;

/** What TypeScript has to say against manifests, written as literals of the types of their kinds. */
export async function complaintsOfTypes(manifests: readonly Manifest[]): Promise<string> {
  const folder = await makeServerFolder('chart');
  try {
    const lines = manifests.map((manifest, index) => {
      const { path } = models[kindOf(manifest)];
      const type = `import('${join(root, 'node_modules', path, `${manifest.kind}.js`)}').I${manifest.kind}`;
      return `export const manifest${index}: ${type} = ${JSON.stringify(manifest, undefined, 1)};`;
    });
    const file = join(folder, 'manifests.mts');
    await writeFile(file, lines.join('\n'));
    const flags = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--types',
      '',
    ];
    const program = join(root, 'node_modules/typescript/bin/tsc');
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...flags, file], {
      cwd: folder,
      encoding: 'utf8',
      timeout: tscTimeoutMs,
    });
    return status === 0 ? '' : stdout + stderr;
  } finally {
    await rm(folder, { recursive: true });
  }
}
