import { renderTable, type TableName } from '../../bench/scaling/tables.ts';
import { table } from './sections.ts';

/** What was simulated of many instances, as `npm run bench:scaling -- --write` left it. */
export const scalingTables: readonly TableName[] = [
  'scaling-shapes',
  'scaling-sizes',
  'scaling-walls',
  'scaling-sizing',
  'scaling-failover',
  'scaling-parameters',
];

export function renderScaling(name: TableName): string {
  const { head, rows } = renderTable(name);
  return table(head, rows);
}
