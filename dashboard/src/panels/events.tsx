import { useEffect, useState, useSyncExternalStore } from 'react';
import { createCacheClient } from '../../../client/src/client.ts';

type Heard = { readonly number: number; readonly at: Date; readonly event: string; readonly data: string };

const mostShown = 50;
const longestData = 160;
const client = createCacheClient({ url: location.origin });

/** The live events as they come, and the state of the connection. */
export function Events() {
  const [heard, setHeard] = useState<readonly Heard[]>([]);
  const [paused, setPaused] = useState(false);
  const state = useSyncExternalStore(client.state.subscribe, client.state.getSnapshot);
  useEffect(
    () =>
      client.onEvent((event, data) => {
        if (paused) return;
        const text = JSON.stringify(data) ?? 'null';
        setHeard((before) =>
          [{ number: (before[0]?.number ?? 0) + 1, at: new Date(), event, data: shorten(text) }, ...before].slice(
            0,
            mostShown,
          ),
        );
      }),
    [paused],
  );
  return (
    <section className="card" aria-labelledby="events-title">
      <div className="bar">
        <h2 id="events-title">Live events</h2>
        <span className={`pill ${state.name === 'live' ? 'good' : 'bad'}`} role="status">
          {state.name}
        </span>
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? 'Go on' : 'Pause'}
        </button>
      </div>
      <ol className="events" aria-label="Events, the newest first" tabIndex={0}>
        {heard.map(({ number, at, event, data }) => (
          <li key={number}>
            <time>{at.toLocaleTimeString()}</time> <b>{event}</b> <code>{data}</code>
          </li>
        ))}
        {heard.length === 0 ? <li className="muted">Nothing yet. Change a post, and it shows here.</li> : null}
      </ol>
    </section>
  );
}

function shorten(text: string): string {
  return text.length > longestData ? `${text.slice(0, longestData)}…` : text;
}
