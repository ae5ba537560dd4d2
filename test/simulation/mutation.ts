import type { Scenario } from './scenario.ts';

/** A guard of the protocol that is taken out, to show that the simulation finds what it prevents. */
export interface Mutation {
  readonly name: string;
  /** Texts of the scripts that are replaced. Each must be found in the file. */
  readonly scripts?: readonly ScriptChange[];
  /** What is done differently in the code around the engine. */
  readonly flags?: Partial<Flags>;
  /** What makes it likely that the guard is needed. */
  readonly scenario?: Partial<Scenario>;
}

export interface ScriptChange {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Flags {
  readonly sameRunId: boolean;
  readonly sameReplicationId: boolean;
  readonly sameOrigin: boolean;
  readonly ignoresClaimNumber: boolean;
  readonly trustsUnsettledClaim: boolean;
  readonly lateJoin: boolean;
  readonly valueBeforeVersion: boolean;
  readonly noSweepBeforeTrust: boolean;
  readonly sweepsAnywhere: boolean;
  readonly noBarrier: boolean;
  readonly versionsReused: boolean;
  readonly forgetsNegativeEntry: boolean;
  readonly noValidation: boolean;
  readonly heldReadsUnasked: boolean;
  readonly acknowledgesBeforeRelease: boolean;
  readonly trustsTorn: boolean;
  readonly trustsComposed: boolean;
  readonly looksOnce: boolean;
  readonly forgetsSegment: boolean;
  readonly replicasUnasked: boolean;
  readonly positionsOfAnyClaim: boolean;
}

export const noFlags: Flags = {
  sameRunId: false,
  sameReplicationId: false,
  sameOrigin: false,
  ignoresClaimNumber: false,
  trustsUnsettledClaim: false,
  lateJoin: false,
  valueBeforeVersion: false,
  noSweepBeforeTrust: false,
  sweepsAnywhere: false,
  noBarrier: false,
  versionsReused: false,
  forgetsNegativeEntry: false,
  noValidation: false,
  heldReadsUnasked: false,
  acknowledgesBeforeRelease: false,
  trustsTorn: false,
  trustsComposed: false,
  looksOnce: false,
  forgetsSegment: false,
  replicasUnasked: false,
  positionsOfAnyClaim: false,
};

const rewrites = new WeakMap<Mutation, (script: string) => string>();

/** What becomes of a script; the same function each time. That each text is in its file is a test of its own. */
export function rewriteOf(mutation: Mutation | undefined): ((script: string) => string) | undefined {
  const changes = mutation?.scripts;
  if (mutation === undefined || changes === undefined) return undefined;
  const known = rewrites.get(mutation);
  if (known !== undefined) return known;
  const rewrite = (script: string): string =>
    changes.reduce((text, { find, replace }) => text.replace(find, () => replace), script);
  rewrites.set(mutation, rewrite);
  return rewrite;
}
