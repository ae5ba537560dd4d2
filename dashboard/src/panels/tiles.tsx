import { type Figures, valueOf } from '../figures.ts';
import { formatCount, formatMs, formatPercent } from '../format.ts';

/** What an operator looks at first. */
export function Tiles({ figures }: { readonly figures: Figures }) {
  const differences = valueOf(figures, 'energex_cache_audit_differences_total');
  const lag = valueOf(figures, 'energex_change_feed_lag_seconds');
  return (
    <section className="tiles" aria-label="At a glance">
      <Tile name="Requests/s" value={formatCount(figures.requests.at(-1))} />
      <Tile name="Hit ratio" value={formatPercent(figures.hitRatio.findLast((ratio) => ratio !== null))} />
      <Tile name="p50" value={formatMs(figures.p50.findLast((ms) => ms !== null))} />
      <Tile name="p99" value={formatMs(figures.p99.findLast((ms) => ms !== null))} />
      <Tile name="Sockets" value={formatCount(valueOf(figures, 'energex_ws_connections'))} />
      <Tile name="Feed lag" value={formatMs(lag === undefined ? undefined : lag * 1000)} />
      <Tile name="Audit differences" value={formatCount(differences)} tone={(differences ?? 0) > 0 ? 'bad' : 'good'} />
    </section>
  );
}

type TileProps = { readonly name: string; readonly value: string; readonly tone?: 'good' | 'bad' };

function Tile({ name, value, tone }: TileProps) {
  return (
    <dl className={`card tile ${tone ?? ''}`}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </dl>
  );
}
