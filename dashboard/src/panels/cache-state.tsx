import { api, type Usage } from '../api.ts';
import { type Figures, rateOf, valueOf, valuesBy } from '../figures.ts';
import { formatBytes, formatCount } from '../format.ts';
import { usePolled } from '../polled.ts';
import { Facts } from './facts.tsx';

const everyMs = 3_000;

/** What the cache holds, and what its write path does. */
export function CacheState({ figures }: { readonly figures: Figures }) {
  const usage = usePolled(api.usage, everyMs);
  const rejected = valuesBy(figures, 'energex_cache_fills_rejected_total', 'reason');
  const unreached = valuesBy(figures, 'energex_cache_unreached_steps_total', 'step');
  return (
    <section className="card" aria-labelledby="state-title">
      <h2 id="state-title">Cache and writes</h2>
      <Facts
        facts={[
          ...holdings(usage),
          ['Invalidations', formatCount(valueOf(figures, 'energex_cache_invalidations_total'))],
          ['Collapsed requests/s', formatCount(rateOf(figures, 'energex_cache_collapsed_requests_total'))],
          ['Refreshes/s', formatCount(rateOf(figures, 'energex_cache_refreshes_total'))],
          ...rejected.map(([reason, count]): [string, string] => [`Fills rejected: ${reason}`, formatCount(count)]),
          ...unreached.map(([step, count]): [string, string] => [`Not reached Redis: ${step}`, formatCount(count)]),
          ['Audits', formatCount(valueOf(figures, 'energex_cache_audits_total'))],
          ['Audit differences', formatCount(valueOf(figures, 'energex_cache_audit_differences_total'))],
        ]}
      />
    </section>
  );
}

function holdings(usage: Usage | undefined): [string, string][] {
  const { memory, store } = usage ?? {};
  return [
    ['In memory', `${formatBytes(memory?.bytes)} of ${formatBytes(memory?.limitBytes)}`],
    ['Entries in memory', formatCount(memory?.keys)],
    ['Evicted from memory', formatCount(memory?.evictions)],
    [
      'In Redis',
      `${formatBytes(store?.bytes)}${store === undefined || store.limitBytes === 0 ? '' : ` of ${formatBytes(store.limitBytes)}`}`,
    ],
    ['Keys in Redis', formatCount(store?.keys)],
    ['Evicted by Redis', formatCount(store?.evictions)],
  ];
}
