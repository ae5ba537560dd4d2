/** From this severity on a weakness fails the run; lesser ones are told of. */
const bad = new Set(['high', 'critical']);

export interface Verdict {
  readonly lines: readonly string[];
  readonly isBad: boolean;
}

/** What `npm audit --json` has found, by what it printed. */
export function verdictOn(output: string, complaint: string): Verdict {
  const found = parsed(output);
  const vulnerabilities = found?.vulnerabilities;
  if (vulnerabilities === undefined) {
    const why = found?.message ?? found?.error?.summary ?? complaint.trim().split('\n').at(-1) ?? '';
    return { lines: [`npm audit: NOT DONE, the registry did not answer (${why || 'no reason given'})`], isBad: false };
  }
  const each = Object.values(vulnerabilities);
  const lines = each.map(({ name, severity, range, via = [] }) => {
    const titles = via.flatMap((one) => (typeof one === 'string' ? [`by ${one}`] : [`${one.title} ${one.url}`]));
    return `${severity}: ${name} ${range || '(versions not known)'}: ${titles.join('; ')}`;
  });
  const worst = each.filter(({ severity }) => bad.has(severity)).length;
  return {
    lines: [...lines, `npm audit: ${each.length} packages with known weaknesses, ${worst} of them high or critical`],
    isBad: worst > 0,
  };
}

interface AuditOutput {
  readonly message?: string;
  readonly error?: { readonly summary?: string };
  readonly vulnerabilities?: Readonly<
    Record<
      string,
      {
        readonly name: string;
        readonly severity: string;
        readonly range: string;
        readonly via?: readonly (string | { readonly title: string; readonly url: string })[];
      }
    >
  >;
}

function parsed(output: string): AuditOutput | undefined {
  try {
    return JSON.parse(output);
  } catch {
    return undefined;
  }
}
