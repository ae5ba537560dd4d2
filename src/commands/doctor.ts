import { readEnvironment } from '../config.ts';
import { examine } from '../doctor/doctor.ts';
import { showFindings } from './findings.ts';
import type { Verb } from './verb.ts';

export const doctor: Verb = {
  name: 'doctor',
  summary: 'look at everything the service needs, and say what mends what is wrong',
  details: [
    'Settings, secret, `FRONTEND_URL`, port; Redis: connection, version, role, `maxmemory`, `maxmemory-policy`, persistence, rights, cluster slots, Sentinels, latency, clock; the database: connection, version, settings, shapes of the tables, grants, what the change feed needs, outbox, claim, clock.',
    'It changes nothing, so it may be run on a machine that serves.',
  ],
  exits: ['found'],
  run: async ({ output }) => showFindings(await examine(readEnvironment(), () => Date.now()), output),
};
