import { definitions, metricNames } from '../../src/operations/metrics/definitions.ts';
import type { Definition } from '../../src/operations/metrics/definitions.ts';
import { code, table } from './sections.ts';

/** The metrics of the service, as `src/operations/metrics/definitions.ts` has them. */
export function renderMetrics(): string {
  const rows = metricNames().map((name) => {
    const { type, labels, help, needs }: Definition = definitions[name];
    const only = needs === undefined ? '' : ` (${conditions[needs]})`;
    return [code(name), type, labels.map(code).join(', '), `${help}${only}`];
  });
  return table(['metric', 'type', 'labels', 'meaning'], rows);
}

const conditions = { servers: 'with Redis and a database', feed: 'with a change feed' };
