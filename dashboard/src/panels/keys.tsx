import { type FormEvent, useState } from 'react';
import { api, type KeyDetail, type KeyPage, type ResourceInfo } from '../api.ts';
import { formatBytes, formatMs } from '../format.ts';
import { Facts } from './facts.tsx';

/** What is cached: names, and one of them in full. */
export function Keys({ resources }: { readonly resources: readonly ResourceInfo[] }) {
  const [match, setMatch] = useState(`${resources[0]?.item ?? 'post'}*`);
  const [page, setPage] = useState<KeyPage>();
  const [detail, setDetail] = useState<KeyDetail>();
  const [message, setMessage] = useState('');
  const failed = (error: unknown): void => setMessage(error instanceof Error ? error.message : String(error));
  const find = (): void => {
    setMessage('');
    api.keys(match).then(setPage, failed);
  };
  const show = (key: string): void => {
    api.key(key).then(setDetail, failed);
  };
  const invalidate = (key: string): void => {
    api.invalidate(key).then(({ invalidated }) => {
      setMessage(`Invalidated: ${invalidated.join(', ')}`);
      show(key);
    }, failed);
  };
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    find();
  };
  return (
    <section className="card" aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <form className="bar" onSubmit={submit}>
        <input
          aria-label="Pattern of the keys"
          className="wide"
          value={match}
          onChange={({ target }) => setMatch(target.value)}
          required
        />
        <button type="submit">Find</button>
      </form>
      <p role="status" className="muted">
        {message}
      </p>
      <div className="split">
        {page === undefined ? null : <Found page={page} onShow={show} />}
        {detail === undefined ? null : <Detail detail={detail} onInvalidate={invalidate} />}
      </div>
    </section>
  );
}

type FoundProps = {
  readonly page: KeyPage;
  readonly onShow: (key: string) => void;
};

function Found({ page: { keys, hasMore }, onShow }: FoundProps) {
  return (
    <div className="scrolls" tabIndex={0} role="region" aria-label="Keys that were found">
      <table>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">Kind</th>
            <th scope="col">Lives for</th>
            <th scope="col">Size</th>
          </tr>
        </thead>
        <tbody>
          {keys.map(({ key, kind, ttlMs, bytes }) => (
            <tr key={key}>
              <td>
                <button type="button" className="link" onClick={() => onShow(key)}>
                  {key}
                </button>
              </td>
              <td>{kind}</td>
              <td>{formatMs(ttlMs)}</td>
              <td>{formatBytes(bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {keys.length === 0 ? <p className="muted">No key matches.</p> : null}
      {hasMore ? <p className="muted">There are more. A narrower pattern finds them.</p> : null}
    </div>
  );
}

type DetailProps = { readonly detail: KeyDetail; readonly onInvalidate: (key: string) => void };

function Detail({ detail, onInvalidate }: DetailProps) {
  const { key, current, version, ageMs, ttlMs, bytes, value, guard } = detail;
  return (
    <article className="detail" aria-label={`The key ${key}`}>
      <div className="bar">
        <h3>{key}</h3>
        <span className={current ? 'pill good' : 'pill'}>{current ? 'served' : 'not served'}</span>
        <button type="button" onClick={() => onInvalidate(key)}>
          Invalidate
        </button>
      </div>
      <Facts
        facts={[
          ['Version', version ?? '–'],
          ['Age, at most', formatMs(ageMs)],
          ['Lives for', formatMs(ttlMs)],
          ['Size', formatBytes(bytes)],
          ...Object.entries(guard),
        ]}
      />
      {value === undefined ? null : (
        <pre tabIndex={0} aria-label="Value">
          {pretty(value)}
        </pre>
      )}
    </article>
  );
}

function pretty(value: string): string {
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}
