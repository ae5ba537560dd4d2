const unknown = '–';

/** Three digits that matter, and a unit prefix: `12.3 k`. */
export function formatCount(value: number | null | undefined): string {
  if (value === null || value === undefined) return unknown;
  if (value >= 1e6) return `${digits(value / 1e6)} M`;
  if (value >= 1e4) return `${digits(value / 1e3)} k`;
  return digits(value);
}

export function formatPercent(value: number | null | undefined): string {
  if (value === null || value === undefined) return unknown;
  return `${(value * 100).toFixed(value > 0.99 && value < 1 ? 2 : 1)} %`;
}

/** Milliseconds as a person says them. */
export function formatMs(value: number | null | undefined): string {
  if (value === null || value === undefined) return unknown;
  if (value < 1) return `${digits(value * 1000)} µs`;
  if (value < 1_000) return `${digits(value)} ms`;
  if (value < 120_000) return `${digits(value / 1000)} s`;
  return `${Math.round(value / 60_000)} min`;
}

export function formatBytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return unknown;
  if (value >= 1024 ** 3) return `${digits(value / 1024 ** 3)} GiB`;
  if (value >= 1024 ** 2) return `${digits(value / 1024 ** 2)} MiB`;
  if (value >= 1024) return `${digits(value / 1024)} KiB`;
  return `${Math.round(value)} B`;
}

function digits(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(value < 1 ? 2 : 3)));
}
