/** What an examination finds: something that is right, could be better, or keeps the service from working. */
export interface Finding {
  /** What was looked at, `redis.maxmemory-policy`. Never changes its meaning. */
  readonly id: string;
  readonly severity: 'ok' | 'warn' | 'fail';
  /** What is the case, as a clause without a full stop. */
  readonly finding: string;
  /** What follows from it. Empty where all is right. */
  readonly meaning: string;
  /** The command, the SQL or the setting that mends it. Empty where all is right. */
  readonly remedy: string;
}

interface Trouble {
  readonly finding: string;
  readonly meaning: string;
  readonly remedy: string;
}

export function ok(id: string, finding: string): Finding {
  return { id, severity: 'ok', finding, meaning: '', remedy: '' };
}

export function warn(id: string, trouble: Trouble): Finding {
  return { id, severity: 'warn', ...trouble };
}

export function fail(id: string, trouble: Trouble): Finding {
  return { id, severity: 'fail', ...trouble };
}

export function withText({ id, severity, meaning, remedy }: Finding, finding: string): Finding {
  return { id, severity, finding, meaning, remedy };
}
