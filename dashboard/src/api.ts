/** What the service offers to its dashboard: `src/http/dashboard/`. */

export type Session = {
  readonly loginNeeded: boolean;
  readonly loggedIn: boolean;
  readonly version: string;
  readonly resources: readonly ResourceInfo[];
};
export type ResourceInfo = { readonly name: string; readonly path: string; readonly item: string };

export type Check = { readonly name: string; readonly verdict: 'ok' | 'warning' | 'failed'; readonly hint?: string };
export type Readiness = { readonly isReady: boolean; readonly checks: readonly Check[] };

export type KeySummary = {
  readonly key: string;
  readonly kind: string;
  /** Undefined where it has none. */
  readonly ttlMs?: number;
  readonly bytes?: number | null;
};
export type KeyPage = { readonly keys: readonly KeySummary[]; readonly hasMore: boolean };
export type KeyDetail = KeySummary & {
  readonly version?: string;
  readonly current: boolean;
  readonly ageMs?: number;
  readonly value?: string;
  readonly guard: Readonly<Record<string, string>>;
};

export type Holding = {
  readonly bytes: number;
  readonly limitBytes: number;
  readonly keys: number;
  readonly evictions: number;
};
export type Usage = { readonly memory: Holding; readonly store: Holding };

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const base = '/dashboard/api';

async function request(method: string, path: string, body?: unknown): Promise<string> {
  const response = await fetch(base + path, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new ApiError(response.status, messageIn(text) ?? response.statusText);
  return text;
}

/** Problems have one. */
function messageIn(text: string): string | undefined {
  try {
    return JSON.parse(text).message;
  } catch {
    return undefined;
  }
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  return JSON.parse(await request(method, path, body));
}

export const api = {
  session: () => ask<Session>('GET', '/session'),
  logIn: (secret: string) => ask<Session>('POST', '/session', { secret }),
  logOut: () => ask<Session>('DELETE', '/session'),
  metrics: () => request('GET', '/metrics'),
  usage: () => ask<Usage>('GET', '/usage'),
  readiness: () => ask<Readiness>('GET', '/readiness'),
  keys: (match: string) => ask<KeyPage>('GET', `/keys?${new URLSearchParams({ match }).toString()}`),
  key: (key: string) => ask<KeyDetail>('GET', `/key?${new URLSearchParams({ key }).toString()}`),
  invalidate: (key: string) => ask<{ readonly invalidated: readonly string[] }>('POST', '/invalidate', { key }),
};
