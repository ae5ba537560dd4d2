import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export type Line = { readonly label: string; readonly values: readonly (number | null)[]; readonly color: string };

type ChartProps = {
  readonly title: string;
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number | null) => string;
  /** The top of the scale, where it is the same always. */
  readonly top?: number | undefined;
  /** Fills what is below the lines. */
  readonly filled?: boolean;
};

const height = 170;

/** A live chart. It says its latest values in words to those who do not see it. */
export function Chart({ title, times, lines, format, top, filled = false }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  // Colours are those of the theme; another set of lines is another chart.
  const shape = lines.map(({ label, color }) => `${label} ${color}`).join(',');
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const own = new uPlot(
      optionsFor({ lines, format, top, filled, width: element.clientWidth, element }),
      [[]],
      element,
    );
    plot.current = own;
    const watcher = new ResizeObserver(() => own.setSize({ width: element.clientWidth, height }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      own.destroy();
    };
    // The data comes by the effect below.
  }, [shape, top, filled]);
  useEffect(() => {
    plot.current?.setData([[...times], ...lines.map(({ values }) => [...values])] as uPlot.AlignedData);
  }, [times, lines, shape]);
  const words = lines.map(({ label, values }) => `${label} ${format(values.at(-1) ?? null)}`).join(', ');
  return (
    <figure className="card chart">
      <figcaption>
        <h2>{title}</h2>
        <ul className="legend">
          {lines.map(({ label, color, values }) => (
            <li key={label}>
              <span className="swatch" style={{ background: `var(${color})` }} />
              {label} <b>{format(values.at(-1) ?? null)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}: ${words}`} data-points={times.length} />
    </figure>
  );
}

type Shape = Pick<ChartProps, 'lines' | 'format' | 'top' | 'filled'> & { width: number; element: HTMLElement };

function optionsFor({ lines, format, top, filled, width, element }: Shape): uPlot.Options {
  const style = getComputedStyle(element);
  const colorOf = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colorOf('--muted'),
    grid: { stroke: colorOf('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_plot, _least, most) => [0, top ?? Math.max(1e-9, most * 1.15)] } },
    axes: [
      { ...axis, space: 70 },
      { ...axis, size: 62, values: (_plot, ticks) => ticks.map((tick) => format(tick)) },
    ],
    series: [
      {},
      ...lines.map(({ label, color }) => ({
        label,
        stroke: colorOf(color),
        width: 2,
        points: { show: false },
        ...(filled ? { fill: `${colorOf(color)}30` } : {}),
      })),
    ],
  };
}
