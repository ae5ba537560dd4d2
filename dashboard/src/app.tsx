import { useCallback, useEffect, useState } from 'react';
import { api, type Session } from './api.ts';
import { Chart, type Line } from './chart.tsx';
import { type Figures, useFigures } from './figures.ts';
import { formatCount, formatMs, formatPercent } from './format.ts';
import { Login } from './login.tsx';
import { CacheState } from './panels/cache-state.tsx';
import { Events } from './panels/events.tsx';
import { Keys } from './panels/keys.tsx';
import { Servers } from './panels/servers.tsx';
import { Tiles } from './panels/tiles.tsx';
import { TryIt } from './panels/try-it.tsx';
import { ThemeButton } from './theme.tsx';

/** Who may not look sees a login; everybody else the dashboard. */
export function App() {
  const [session, setSession] = useState<Session>();
  const [failure, setFailure] = useState<string>();
  const load = useCallback(() => {
    api.session().then(setSession, (error: unknown) => setFailure(String(error)));
  }, []);
  useEffect(load, [load]);
  if (session === undefined) return <p className="notice">{failure ?? 'Loading …'}</p>;
  if (session.loginNeeded && !session.loggedIn) return <Login onLogin={setSession} />;
  return <Dashboard session={session} onRefused={load} onLogout={setSession} />;
}

type DashboardProps = {
  readonly session: Session;
  readonly onRefused: () => void;
  readonly onLogout: (session: Session) => void;
};

function Dashboard({ session, onRefused, onLogout }: DashboardProps) {
  const figures = useFigures(onRefused);
  return (
    <>
      <header>
        <h1>EnergeX Cache</h1>
        <span className="version">{session.version}</span>
        <span className={figures.failure === undefined ? 'pill good' : 'pill bad'} role="status">
          {figures.failure === undefined ? 'connected' : `no figures: ${figures.failure}`}
        </span>
        <nav aria-label="More">
          <a href="/docs">API</a>
          <ThemeButton />
          {session.loginNeeded ? (
            <button type="button" onClick={() => void api.logOut().then(onLogout)}>
              Log out
            </button>
          ) : null}
        </nav>
      </header>
      <main>
        <Tiles figures={figures} />
        <Traffic figures={figures} />
        <section className="columns" aria-label="State">
          <CacheState figures={figures} />
          <Servers figures={figures} />
          <Events />
        </section>
        <Keys resources={session.resources} />
        <TryIt resources={session.resources} />
      </main>
    </>
  );
}

const colors = ['--c1', '--c2', '--c3', '--c4', '--c5', '--c6'];

function Traffic({ figures }: { readonly figures: Figures }) {
  const { times, requests, bySource, hitRatio, p50, p95, p99 } = figures;
  const sources: Line[] = [...bySource].map(([label, values], index) => ({
    label,
    values,
    color: colors[index % colors.length] ?? '--c1',
  }));
  return (
    <section className="charts" aria-label="Traffic">
      <Chart
        title="Requests per second"
        times={times}
        lines={[{ label: 'all', values: requests, color: '--c1' }]}
        format={formatCount}
        filled
      />
      <Chart title="Answers by source, per second" times={times} lines={sources} format={formatCount} />
      <Chart
        title="Hit ratio"
        times={times}
        lines={[{ label: 'hits', values: hitRatio, color: '--c2' }]}
        format={formatPercent}
        top={1}
        filled
      />
      <Chart
        title="Latency"
        times={times}
        lines={[
          { label: 'p50', values: p50, color: '--c2' },
          { label: 'p95', values: p95, color: '--c3' },
          { label: 'p99', values: p99, color: '--c4' },
        ]}
        format={formatMs}
      />
    </section>
  );
}
