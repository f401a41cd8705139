import { openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { migrate } from '../../src/models/migrate';
import { plugins } from '../../src/plugins';
import { createDatabase } from '../services/database';

/** A database with the schema of today, which is removed when it is closed. */
export async function openTestDatabase(): Promise<Database> {
  const testDatabase = await createDatabase();
  const database = openDatabase(testDatabase.url);
  await migrate(database.sequelize, plugins);
  return {
    ...database,
    close: async () => {
      await database.close();
      await testDatabase.drop();
    },
  };
}
