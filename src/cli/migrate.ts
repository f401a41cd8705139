import type { Command } from 'commander';

import { connectClient, registerSearchAttributes } from '../temporal';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import { applyMigrations, connectDatabase, describeDatabase } from './schema';

/** `penstock migrate`. */
export function migrateCommand(program: Command): void {
  const command = withOutput(
    program
      .command('migrate')
      .description("bring the database's schema up to date, and register the search attributes with Temporal"),
  );
  command.action((options: OutputOptions) =>
    run(options, async (context) => {
      const { output, settings } = context;
      if (settings.databaseUrl === undefined) {
        // Embedded services are brought up to date whenever they are used.
        const { client } = await context.open({ temporal: true });
        const searchAttributes = settings.temporalGiven ? await registerSearchAttributes(client) : [];
        output.result({ database: 'embedded', migrations: [], searchAttributes }, () =>
          output.quiet ? [] : [...registered(searchAttributes), 'The embedded services are up to date.'],
        );
        return;
      }
      const database = await connectDatabase(settings.databaseUrl);
      try {
        const migrations = await applyMigrations(database);
        const searchAttributes = settings.temporalGiven ? await register() : [];
        const where = describeDatabase(settings.databaseUrl);
        output.result({ database: where, migrations, searchAttributes }, () =>
          output.quiet
            ? []
            : [
                ...migrations.map((name) => `Applied ${name}.`),
                ...registered(searchAttributes),
                `The database at ${where} is up to date.`,
              ],
        );
      } finally {
        await database.close();
      }
    }),
  );
  withExamples(command, [['DATABASE_URL=… TEMPORAL_ADDRESS=… penstock migrate', 'once, before new workers start']]);
}

function registered(searchAttributes: readonly string[]): string[] {
  return searchAttributes.map((name) => `Registered the search attribute ${name}.`);
}

async function register(): Promise<string[]> {
  const client = await connectClient();
  try {
    return await registerSearchAttributes(client);
  } finally {
    await client.connection.close();
  }
}
