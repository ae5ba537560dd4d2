import type { Finding } from '../../src/doctor/finding.ts';

/** What an examination says of one thing, in the order in which it says it. */
export function about(id: string, findings: readonly Finding[]): readonly Finding[] {
  return findings.filter((each) => each.id === id);
}

/** What is not in order, as `severity id`. */
export function troubles(findings: readonly Finding[]): string[] {
  return findings.filter(({ severity }) => severity !== 'ok').map(({ severity, id }) => `${severity} ${id}`);
}
