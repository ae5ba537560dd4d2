import { configCheck } from './config-check.ts';
import { configPrint } from './config-print.ts';
import { doctor } from './doctor.ts';
import { eventsTail } from './events-tail.ts';
import { inspect } from './inspect.ts';
import { invalidate } from './invalidate.ts';
import { migrate } from './migrate.ts';
import { seed } from './seed.ts';
import { serve } from './serve.ts';
import { stats } from './stats.ts';
import { top } from './top.ts';
import type { Verb } from './verb.ts';
import { warm } from './warm.ts';

/** The verbs of the command line, in the order in which the help shows them. */
export const verbs: readonly Verb[] = [
  serve,
  migrate,
  seed,
  doctor,
  warm,
  stats,
  top,
  inspect,
  invalidate,
  eventsTail,
  configPrint,
  configCheck,
];
