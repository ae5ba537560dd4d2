/**
 * When to load a value anew before it expires: XFetch (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache
 * Stampede Prevention", VLDB 2015). Each hit draws a time by which the load should be ahead of the expiry; the longer the
 * last load took and the nearer the expiry, the likelier it is that this hit is the one that loads. No instance needs to
 * know of another: that two begin at once is unlikely, and the lease lets only one of them go on.
 * `draw` is uniform in [0, 1).
 */
export function isRefreshDue(ttlMs: number, loadMs: number, draw: number): boolean {
  // No draw reaches this far ahead: the logarithm of the least number that it can leave is about -37.
  if (ttlMs > loadMs * 37) return false;
  return -loadMs * Math.log(1 - draw) >= ttlMs;
}
