import { type Definition, definitions, durationBuckets, type MetricName, type NameOf } from './definitions.ts';

/**
 * Plain numbers that are counted up where something happens, and read when somebody asks. A library's counter looks up its
 * labels each time, which costs more than all the rest of an observation: here whoever counts keeps the number itself.
 */
export class Tally {
  value = 0;
}

/** How long things took. */
export class Distribution {
  /** By the first bound that is not smaller; the last is for all above. */
  readonly counts: number[] = Array.from({ length: durationBuckets.length + 1 }, () => 0);
  sumMs = 0;

  observe(ms: number): void {
    this.sumMs += ms;
    let at = 0;
    while (at < boundsMs.length && ms > (boundsMs[at] ?? 0)) at += 1;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
  }
}

const boundsMs = durationBuckets.map((seconds) => seconds * 1_000);

/** The numbers of one metric, one for each combination of labels. */
export class Family<T> {
  readonly #labels: readonly string[];
  readonly #make: () => T;
  readonly #members = new Map<string, { readonly labels: Readonly<Record<string, string>>; readonly member: T }>();

  constructor(labels: readonly string[], make: () => T) {
    this.#labels = labels;
    this.#make = make;
  }

  /** The number for these values of the labels, in the order of the definition; made when it is not there. */
  at(...values: readonly string[]): T {
    const key = values.length === 1 ? (values[0] ?? '') : values.join('\n');
    const known = this.#members.get(key);
    if (known !== undefined) return known.member;
    const labels = Object.fromEntries(this.#labels.map((label, index) => [label, values[index] ?? '']));
    const member = this.#make();
    this.#members.set(key, { labels, member });
    return member;
  }

  /** Forgets all of them: for gauges that are not there any more. */
  clear(): void {
    this.#members.clear();
  }

  entries(): readonly { readonly labels: Readonly<Record<string, string>>; readonly member: T }[] {
    return [...this.#members.values()];
  }
}

/** One metric as it is read: what the client library takes to write its text. */
export interface Reading {
  readonly name: string;
  readonly help: string;
  readonly type: Definition['type'];
  readonly values: readonly {
    readonly value: number;
    readonly labels: Readonly<Record<string, string | number>>;
    readonly metricName?: string;
  }[];
}

/** All numbers of this process. */
export class Tallies {
  readonly #families = new Map<MetricName, Family<Tally | Distribution>>();
  readonly #beforeReading: (() => void)[] = [];

  numbers(name: NameOf<'counter' | 'gauge'>): Family<Tally> {
    const family = new Family(definitions[name].labels, () => new Tally());
    this.#families.set(name, family);
    return family;
  }

  durations(name: NameOf<'histogram'>): Family<Distribution> {
    const family = new Family(definitions[name].labels, () => new Distribution());
    this.#families.set(name, family);
    return family;
  }

  /** The numbers of one metric as they are; none for what nobody counts. */
  entries(name: MetricName): ReturnType<Family<Tally | Distribution>['entries']> {
    return this.#families.get(name)?.entries() ?? [];
  }

  /** For gauges whose value is looked up when it is asked for. */
  beforeReading(look: () => void): void {
    this.#beforeReading.push(look);
  }

  /** `labels` are added to each value. */
  read(labels: Readonly<Record<string, string>>): Reading[] {
    for (const look of this.#beforeReading) look();
    return [...this.#families].map(([name, family]) => {
      const { help, type } = definitions[name];
      const values = family
        .entries()
        .flatMap(({ labels: own, member }) => valuesOf(name, member, { ...own, ...labels }));
      return { name, help, type, values };
    });
  }
}

function valuesOf(name: string, member: Tally | Distribution, labels: Record<string, string>): Reading['values'] {
  if (member instanceof Tally) return [{ value: member.value, labels }];
  let count = 0;
  const buckets = member.counts.map((more, at) => {
    count += more;
    return { value: count, labels: { le: durationBuckets[at] ?? '+Inf', ...labels }, metricName: `${name}_bucket` };
  });
  return [
    ...buckets,
    { value: member.sumMs / 1_000, labels, metricName: `${name}_sum` },
    { value: count, labels, metricName: `${name}_count` },
  ];
}
