import { type Config, loadConfig, readEnvironment } from '../config.ts';
import { migrate as createTables } from '../database/migrate.ts';
import { openDatabase } from '../database/open.ts';
import { usageError, type Verb } from './verb.ts';

export const migrate: Verb = {
  name: 'migrate',
  summary: 'create the tables that are missing',
  details: ['Tables that are there are left as they are, whoever made them.'],
  run: async ({ output }) => {
    const config = loadConfig(readEnvironment());
    requireLastingData(config, 'migrate');
    const database = openDatabase(config);
    try {
      const created = await createTables(database);
      const line = created.length === 0 ? 'All tables are there.' : `Created ${created.join(', ')}.`;
      output.show({ created }, [line]);
    } finally {
      await database.close();
    }
    return 'done';
  },
};

/** Throws `USAGE` for the embedded default, whose rows would end with the process that made them. */
export function requireLastingData({ backend }: Config, verb: string): void {
  if (backend.kind !== 'embedded' || backend.location !== ':memory:') return;
  throw usageError(`${verb} needs a database that outlives it: set REDIS_HOST and DB_HOST, or EMBEDDED_DATA to a file`);
}
