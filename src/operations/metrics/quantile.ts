/** What was counted up to a bound, all smaller ones included; the last bound is infinite. */
export interface Bucket {
  readonly le: number;
  readonly count: number;
}

/**
 * A quantile of what a histogram has counted, in the unit of its bounds: linear within a bucket, as `histogram_quantile` of
 * Prometheus. `undefined` when nothing was counted.
 */
export function quantileOf(buckets: readonly Bucket[], q: number): number | undefined {
  const total = buckets.at(-1)?.count ?? 0;
  if (total === 0) return undefined;
  const rank = q * total;
  const at = buckets.findIndex(({ count }) => count >= rank);
  const bucket = buckets[at];
  const below = at > 0 ? buckets[at - 1] : undefined;
  if (bucket === undefined) return undefined;
  if (bucket.le === Number.POSITIVE_INFINITY) return below?.le;
  const from = below?.le ?? 0;
  const within = bucket.count - (below?.count ?? 0);
  return from + (bucket.le - from) * (within === 0 ? 1 : (rank - (below?.count ?? 0)) / within);
}
