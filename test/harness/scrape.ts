/** What a scrape tells: values by name and labels. */
export type Scrape = {
  /** The sum of all values of `name` whose labels include `labels`; `undefined` when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
  /** The values that the label has, over all series of `name`. */
  labelValues(name: string, label: string): readonly string[];
  /** The names of the metrics, as their types are declared. */
  readonly names: readonly string[];
};

type Series = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** Reads Prometheus' text format as this service writes it: no timestamps. */
export function parseScrape(text: string): Scrape {
  const series: Series[] = [];
  const names: string[] = [];
  for (const line of text.split('\n')) {
    const declared = /^# TYPE (\S+) /.exec(line)?.[1];
    if (declared !== undefined) names.push(declared);
    const [, name, labels = '', value] = /^([a-z_]\w*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    const pairs = Array.from(labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g), ([, label = '', text = '']) => [
      label,
      text,
    ]);
    series.push({ name, labels: Object.fromEntries(pairs), value: Number(value) });
  }
  return {
    names,
    value(name, labels = {}) {
      const found = series.filter(
        (each) => each.name === name && Object.entries(labels).every(([label, text]) => each.labels[label] === text),
      );
      return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
    },
    labelValues: (name, label) => [
      ...new Set(series.flatMap((each) => (each.name === name ? [each.labels[label] ?? ''] : []))),
    ],
  };
}
