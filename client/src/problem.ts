/**
 * Why a request was not answered with data: a problem of the service (RFC 9457, `application/problem+json`), or no answer
 * at all, which has the status 0.
 */
export class CacheProblem extends Error {
  override readonly name = 'CacheProblem';
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** As in the service's catalogue of errors; `UNREACHABLE`, `UNEXPECTED` and `CLOSED` are of this client. */
  readonly code: string;
  /** What is wrong with which field of what was sent. */
  readonly fields: readonly FieldProblem[];
  /** How long the service asks to wait before the next attempt, in milliseconds; bounded. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, code: string, message: string, more: ProblemDetails = {}) {
    super(message, { cause: more.cause });
    this.status = status;
    this.code = code;
    this.fields = more.fields ?? [];
    this.retryAfterMs = more.retryAfterMs;
  }

  /** Another attempt may succeed. */
  get isTemporary(): boolean {
    if (this.code === 'CLOSED') return false;
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** There is no such row. */
  get isAbsence(): boolean {
    return this.status === 404 && this.code === 'NOT_FOUND';
  }
}

export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

interface ProblemDetails {
  readonly fields?: readonly FieldProblem[];
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

export async function problemOf(response: Response): Promise<CacheProblem> {
  const body: unknown = await response.json().catch(() => undefined);
  const { code, message, errors }: { code?: unknown; message?: unknown; errors?: unknown } = Object(body);
  return new CacheProblem(
    response.status,
    typeof code === 'string' ? code : 'UNEXPECTED',
    typeof message === 'string' ? message : `the service answered ${response.status}`,
    {
      fields: Array.isArray(errors) ? errors.filter(isFieldProblem) : [],
      retryAfterMs: retryAfterOf(response.headers.get('retry-after')),
    },
  );
}

/** For what was thrown while something was read. */
export function toProblem(error: unknown): CacheProblem {
  if (error instanceof CacheProblem) return error;
  return new CacheProblem(0, 'UNEXPECTED', 'the answer could not be read', { cause: error });
}

function isFieldProblem(value: unknown): value is FieldProblem {
  const { field, message }: { field?: unknown; message?: unknown } = Object(value);
  return typeof field === 'string' && typeof message === 'string';
}

/** Seconds only: this service sends no dates. */
function retryAfterOf(header: string | null): number | undefined {
  return header !== null && /^\d{1,9}$/.test(header)
    ? Math.min(Number(header) * 1_000, longestRetryAfterMs)
    : undefined;
}

const longestRetryAfterMs = 60_000;
