import type { Config } from '../config.ts';
import { migrate } from '../database/migrate.ts';
import { openDatabase } from '../server.ts';
import { requireLastingData } from './seed.ts';

/** The verb `migrate`: creates the tables that are missing, and says which. */
export async function runMigrate(config: Config): Promise<void> {
  requireLastingData(config, 'migrate');
  const database = openDatabase(config);
  try {
    const created = await migrate(database);
    console.log(created.length === 0 ? 'All tables are there.' : `Created ${created.join(', ')}.`);
  } finally {
    await database.close();
  }
}
