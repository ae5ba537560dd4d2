import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderAlerts, renderSchema, renderValues } from './chart.ts';
import { renderClientTypes } from './client-types.ts';
import { renderConfiguration, renderEssentials } from './configuration.ts';
import { renderDashboard } from './dashboard.ts';
import { renderErrors } from './errors.ts';
import { renderEvents, renderLimits } from './events.ts';
import { renderMetrics } from './metrics.ts';
import { renderResources } from './resources.ts';
import { renderRights } from './rights.ts';
import { renderScaling, scalingTables } from './scaling.ts';
import { replaceSection } from './sections.ts';
import { renderCommonFlags, renderExitCodes, renderVerbList, renderVerbs } from './verbs.ts';

export const root = join(import.meta.dirname, '..', '..');

/** Every generated part: the document, the name between whose marks it stands, and what stands there. */
const parts: readonly { readonly file: string; readonly name: string; readonly render: () => string }[] = [
  { file: 'README.md', name: 'configuration', render: renderEssentials },
  { file: 'README.md', name: 'resources', render: renderResources },
  { file: 'docs/configuration.md', name: 'configuration', render: renderConfiguration },
  { file: 'README.md', name: 'verbs', render: renderVerbList },
  { file: 'docs/command-line.md', name: 'flags', render: renderCommonFlags },
  { file: 'docs/command-line.md', name: 'exits', render: renderExitCodes },
  { file: 'docs/command-line.md', name: 'verbs', render: renderVerbs },
  { file: 'docs/errors.md', name: 'errors', render: renderErrors },
  { file: 'docs/metrics.md', name: 'metrics', render: renderMetrics },
  { file: 'docs/events.md', name: 'events', render: renderEvents },
  { file: 'docs/events.md', name: 'limits', render: renderLimits },
  { file: 'docs/scaling.md', name: 'rights', render: renderRights },
  ...scalingTables.map((name) => ({ file: 'docs/scaling.md', name, render: () => renderScaling(name) })),
];

/** Files that are generated as a whole. */
const wholes: readonly { readonly file: string; readonly render: () => string }[] = [
  { file: 'client/src/generated.ts', render: renderClientTypes },
  { file: 'deploy/grafana/energex-cache.json', render: renderDashboard },
  { file: 'deploy/helm/energex-cache/values.yaml', render: renderValues },
  { file: 'deploy/helm/energex-cache/values.schema.json', render: renderSchema },
  { file: 'deploy/helm/energex-cache/files/alerts.yml', render: renderAlerts },
  // A chart reads its own files only.
  { file: 'deploy/helm/energex-cache/files/dashboard.json', render: renderDashboard },
];

/** The documents that have generated parts, paths from the root of the project. */
export const generatedFiles: readonly string[] = [...new Set([...parts, ...wholes].map(({ file }) => file))];

/** A document as it stands, and as it must be. */
export function regenerate(file: string): { current: string; wanted: string } {
  const current = readFileSync(join(root, file), 'utf8');
  const whole = wholes.find((each) => each.file === file);
  if (whole !== undefined) return { current, wanted: whole.render() };
  const own = parts.filter((part) => part.file === file);
  return { current, wanted: own.reduce((text, { name, render }) => replaceSection(text, name, render()), current) };
}
