import { drawChart } from '../chart.ts';
import type { Result } from '../report.ts';
import type { Plan, SizeRow } from './plan.ts';
import { shapes } from './shapes.ts';

/** The load of the busiest Redis, with the chart of the benchmarks: its line is a whole processor. */
export function drawPlan({ sizes: rows }: Plan): string {
  const toRow = ({ count, figures }: SizeRow): Result['rows'][number] => {
    const { busiestMaster: median } = figures;
    const ratio = { median, low: median, high: median };
    return { candidate: `${count.toLocaleString('en')} instances`, ratio, cpuRatio: ratio, figures: {} };
  };
  return drawChart(
    shapes.map(({ name }) => ({
      path: name,
      title: name,
      base: 'a processor',
      figure: 'load of Redis',
      rows: rows.filter(({ shape }) => shape === name).map(toRow),
      targets: [],
    })),
  );
}
