import { catalogue, type ErrorCode } from '../../src/errors.ts';
import { findStatus } from '../../src/http/problem.ts';
import { code, table } from './sections.ts';

export function renderErrors(): string {
  const codes = errorCodes();
  return [
    '## Answers to a request',
    '',
    renderGroup(codes.filter((each) => findStatus(each) !== undefined)),
    '',
    '## Errors at the start',
    '',
    'They are printed as one sentence; the process ends with exit code 1, or 2 where the command line is wrong',
    '([command-line.md](command-line.md)).',
    '',
    renderGroup(codes.filter((each) => findStatus(each) === undefined)),
  ].join('\n');
}

export function errorCodes(): ErrorCode[] {
  // The keys of an object literal that nobody adds to are exactly the names of its type.
  return Object.keys(catalogue) as ErrorCode[];
}

function renderGroup(codes: readonly ErrorCode[]): string {
  const overview = codes.map((each) => {
    const { message, retryable } = catalogue[each];
    return [`[${code(each)}](#${each.toLowerCase()})`, statusShown(each), retryable ? 'yes' : 'no', code(message)];
  });
  const details = codes.map((each) => {
    const { cause, remedy } = catalogue[each];
    return `### ${code(each)}\n\n- Cause: ${cause}\n- Remedy: ${remedy}`;
  });
  return [table(['code', 'status', 'retryable', 'message'], overview), ...details].join('\n\n');
}

function statusShown(each: ErrorCode): string {
  return String(findStatus(each) ?? 'none');
}
