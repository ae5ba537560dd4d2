import { existsSync, statSync } from 'node:fs';
import { checkConfig, type Environment } from '../config.ts';
import { resources } from '../resources/registry.ts';
import { openDatabase } from '../database/open.ts';
import { examineDatabase } from './database.ts';
import { type Finding, ok, warn } from './finding.ts';
import { examinePorts } from './port.ts';
import { examineRedis } from './redis.ts';
import { examineSettings } from './settings.ts';

/** Looks at everything that the service needs, and changes nothing. `now` is our clock, milliseconds of the epoch. */
export async function examine(environment: Environment, now: () => number): Promise<Finding[]> {
  const checked = checkConfig(environment);
  const { settings, backend } = checked;
  const findings = [...examineSettings(checked), ...examineEnvironmentFile()];
  if (backend === undefined) return findings;
  findings.push(...(await examinePorts(settings)));
  if (backend.kind === 'embedded') return findings;
  const redis = await examineRedis(backend.redis, settings, now);
  findings.push(...redis.findings);
  const database = openDatabase({ settings, backend });
  try {
    const { database: address } = backend;
    findings.push(...(await examineDatabase(database, { address, settings, resources, now, run: redis.run })));
  } finally {
    await database.close();
  }
  return findings;
}

const forOthers = 0o077;

/** Passwords stand in it. */
function examineEnvironmentFile(): Finding[] {
  if (process.platform === 'win32' || !existsSync('.env')) return [];
  if ((statSync('.env').mode & forOthers) === 0) return [ok('settings.env-file', '.env is for its owner alone')];
  return [
    warn('settings.env-file', {
      finding: 'other users of this machine may read .env',
      meaning: 'The passwords in it are theirs as well.',
      remedy: 'chmod 600 .env',
    }),
  ];
}
