import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Command } from 'commander';

import { addCompletion } from './completion';
import { contentCommand } from './content';
import { migrateCommand } from './migrate';
import { remoteCommand } from './remote';
import { replayCommand } from './replay';
import { repositoryCommand } from './repository';
import { syncCommand } from './sync';
import { upCommand } from './up';
import { versionCommand } from './version';
import { workerCommand } from './worker';

/** Every command, as they stand in the help. */
export async function buildProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command('penstock')
    .description('Syncs content repositories durably, as Temporal workflows.')
    .version(packageVersion())
    // An option belongs to the command that it follows: `sync NAME --json` and `sync list --json` are two.
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(--help shows how)')
    .configureHelp({ showGlobalOptions: false })
    .addHelpText('after', epilogue);
  const commands = [
    syncCommand,
    upCommand,
    remoteCommand,
    repositoryCommand,
    versionCommand,
    contentCommand,
    workerCommand,
    migrateCommand,
    replayCommand,
  ];
  for (const add of commands) add(program);
  await addCompletion(program, argv);
  return program;
}

const epilogue = `
Examples:
  $ penstock sync files --url https://example.org/files/PULP_MANIFEST   # everything it needs is started and stopped
  $ penstock up                                                         # keeps the services and a worker running
  $ penstock sync files --detach                                        # returns at once; the sync goes on
  $ penstock sync list

Exit status: 0 success; 1 a failure that needs a person; 2 wrong usage; 3 a failure where the same command again may succeed.
Settings come from the environment: DATABASE_URL, TEMPORAL_ADDRESS, PENSTOCK_DATA and more; the README lists them.`;

function packageVersion(): string {
  const root = join(__dirname, '..', '..', '..');
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
}
