import { api } from '../api.ts';
import { type Figures, valueOf, valuesBy } from '../figures.ts';
import { formatBytes, formatCount, formatMs } from '../format.ts';
import { usePolled } from '../polled.ts';
import { Facts } from './facts.tsx';

const everyMs = 3_000;

/** Redis, the database, the change feed and the sockets. */
export function Servers({ figures }: { readonly figures: Figures }) {
  const readiness = usePolled(api.readiness, everyMs);
  const lag = valueOf(figures, 'energex_change_feed_lag_seconds');
  const pool = valuesBy(figures, 'energex_mysql_pool_connections', 'state');
  const recoveries = valuesBy(figures, 'energex_ws_recoveries_total', 'result');
  return (
    <section className="card" aria-labelledby="servers-title">
      <div className="bar">
        <h2 id="servers-title">Health</h2>
        <span className={readiness?.isReady === true ? 'pill good' : 'pill bad'} role="status">
          {readiness === undefined ? 'unknown' : readiness.isReady ? 'ready' : 'not ready'}
        </span>
      </div>
      <ul className="checks">
        {readiness?.checks.map(({ name, verdict, hint }) => (
          <li key={name}>
            <span className={verdict === 'ok' ? 'dot good' : 'dot bad'} aria-hidden="true" />
            <b>{name}</b> {verdict} {verdict === 'ok' ? null : <span className="muted">{hint}</span>}
          </li>
        ))}
      </ul>
      <Facts
        facts={[
          ['Change feed lag', formatMs(lag === undefined ? undefined : lag * 1000)],
          ...pool.map(([state, count]): [string, string] => [`Database connections, ${state}`, formatCount(count)]),
          ['Sockets', formatCount(valueOf(figures, 'energex_ws_connections'))],
          ...recoveries.map(([result, count]): [string, string] => [
            `Sessions recovered: ${result}`,
            formatCount(count),
          ]),
          ['Memory of the process', formatBytes(valueOf(figures, 'process_resident_memory_bytes'))],
        ]}
      />
    </section>
  );
}
