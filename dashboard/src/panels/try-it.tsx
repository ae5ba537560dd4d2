import { type FormEvent, useState } from 'react';
import type { ResourceInfo } from '../api.ts';
import { formatBytes, formatMs } from '../format.ts';

type Answer = {
  readonly status: number;
  readonly source: string;
  readonly ms: number;
  readonly bytes: number;
  readonly headers: readonly [string, string][];
  readonly body: string;
};

const methods = ['GET', 'POST', 'PUT', 'DELETE'];
const longestBody = 20_000;

/** Sends a request as a browser does, and shows where the answer came from. */
export function TryIt({ resources }: { readonly resources: readonly ResourceInfo[] }) {
  const [method, setMethod] = useState('GET');
  const [path, setPath] = useState(`${resources[0]?.path ?? '/cache/posts'}/1`);
  const [body, setBody] = useState('{"title": "Hello"}');
  const [answer, setAnswer] = useState<Answer>();
  const [failure, setFailure] = useState<string>();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setFailure(undefined);
    send(method, path, body).then(setAnswer, (error: unknown) => setFailure(String(error)));
  };
  return (
    <section className="card" aria-labelledby="try-title">
      <h2 id="try-title">Try it</h2>
      <form className="bar" onSubmit={submit}>
        <select aria-label="Method" value={method} onChange={({ target }) => setMethod(target.value)}>
          {methods.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
        <input
          aria-label="Path"
          className="wide"
          value={path}
          onChange={({ target }) => setPath(target.value)}
          required
        />
        <button type="submit">Send</button>
      </form>
      {method === 'GET' ? null : (
        <textarea aria-label="Body" rows={3} value={body} onChange={({ target }) => setBody(target.value)} />
      )}
      <div role="status" className="answer">
        {failure === undefined ? null : <p className="failure">{failure}</p>}
        {answer === undefined ? null : <Shown answer={answer} />}
      </div>
    </section>
  );
}

function Shown({ answer: { status, source, ms, bytes, headers, body } }: { readonly answer: Answer }) {
  return (
    <>
      <p className="bar">
        <span className={`pill ${status < 400 ? 'good' : 'bad'}`}>{status}</span>
        <span className="pill">source: {source}</span>
        <span className="pill">{formatMs(ms)}</span>
        <span className="pill">{formatBytes(bytes)}</span>
      </p>
      <details>
        <summary>{headers.length} headers</summary>
        <dl className="facts">
          {headers.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </details>
      <pre tabIndex={0} aria-label="Body of the answer">
        {body}
      </pre>
    </>
  );
}

async function send(method: string, path: string, body: string): Promise<Answer> {
  const url = new URL(path, location.origin);
  if (url.origin !== location.origin) throw new Error('The path must be one of this service.');
  const began = performance.now();
  const response = await fetch(url, {
    method,
    cache: 'no-store',
    ...(method === 'GET' ? {} : { headers: { 'content-type': 'application/json' }, body }),
  });
  const text = await response.text();
  const ms = performance.now() - began;
  return {
    status: response.status,
    source: sourceOf(text),
    ms,
    bytes: new Blob([text]).size,
    headers: [...response.headers],
    body: pretty(text),
  };
}

function sourceOf(text: string): string {
  // The envelope ends with it; a list may be long.
  return /"source":"(\w+)"[^[\]]{0,60}$/.exec(text.slice(-100))?.[1] ?? 'none';
}

function pretty(text: string): string {
  try {
    const shown = JSON.stringify(JSON.parse(text), null, 2);
    return shown.length > longestBody ? `${shown.slice(0, longestBody)}\n…` : shown;
  } catch {
    return text.slice(0, longestBody);
  }
}
