import type { FastifyInstance, FastifyRequest } from 'fastify';
import { withDeadline } from '../deadline.ts';
import { refuseOtherMethods } from './methods.ts';

/** What `GET /readyz` looks at. */
export interface ReadinessChecks {
  /** Resolves when the database answers. */
  readonly database: () => Promise<void>;
  /** The tables are there. */
  readonly isPrepared: () => boolean;
  /** Without a store reads go to the database, which is slow and right. */
  readonly isStoreUp: () => boolean;
  readonly isDraining: () => boolean;
}

/**
 * The probes of an orchestrator, in the form of Kubernetes' own: `ok` or the reason as plain text, all checks with `?verbose`.
 *
 * `/livez` touches nothing: it fails only when the process answers nobody, and then a restart helps. `/readyz` tells whether
 * requests should be sent here: not before the tables are there, not while the database is away, not once the service
 * drains. Redis may be away; that is a warning.
 */
export function addProbes(app: FastifyInstance, checks: ReadinessChecks): void {
  app.get('/livez', async (request, reply) => {
    reply.header('cache-control', 'no-store').type(plainText);
    return isVerbose(request) ? '[+] process ok\nlivez passed\n' : 'ok';
  });
  app.get('/readyz', async (request, reply) => {
    const results = await examine(checks);
    const failed = results.filter(({ verdict }) => verdict === 'failed');
    reply.code(failed.length === 0 ? 200 : 503).header('cache-control', 'no-store');
    reply.type(plainText);
    if (isVerbose(request)) return describe(results, failed.length === 0);
    return failed.length === 0 ? 'ok' : `not ready: ${failed.map(({ name }) => name).join(', ')}`;
  });
  for (const path of ['/livez', '/readyz']) refuseOtherMethods(app, path, ['GET', 'HEAD', 'OPTIONS']);
}

/** Each check, and what it found. */
export async function examine(checks: ReadinessChecks): Promise<readonly Result[]> {
  const isAnswering = await withDeadline(
    probeTimeoutMs,
    checks.database().then(
      () => true,
      () => false,
    ),
    () => false,
  );
  return [
    { name: 'shutdown', verdict: checks.isDraining() ? 'failed' : 'ok' },
    { name: 'database', verdict: isAnswering ? 'ok' : 'failed' },
    { name: 'tables', verdict: checks.isPrepared() ? 'ok' : 'failed' },
    { name: 'redis', verdict: checks.isStoreUp() ? 'ok' : 'warning', hint: 'not in use, reads go to the database' },
  ];
}

export interface Result {
  readonly name: string;
  readonly verdict: 'ok' | 'warning' | 'failed';
  /** What a verdict other than `ok` means. */
  readonly hint?: string;
}

function describe(results: readonly Result[], isReady: boolean): string {
  const lines = results.map(({ name, verdict, hint }) => {
    const why = verdict === 'ok' || hint === undefined ? '' : `: ${hint}`;
    return `${marks[verdict]} ${name} ${verdict}${why}\n`;
  });
  return `${lines.join('')}readyz ${isReady ? 'passed' : 'failed'}\n`;
}

const marks = { ok: '[+]', warning: '[!]', failed: '[-]' };

function isVerbose(request: FastifyRequest): boolean {
  return Object.hasOwn(Object(request.query), 'verbose');
}

const plainText = 'text/plain; charset=utf-8';
/** Probes wait for a second by default. */
const probeTimeoutMs = 900;
