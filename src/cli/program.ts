import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Command } from 'commander';

type AddCommand = (program: Command) => void;

/** Every command, as they stand in the help; what a command needs is loaded when it is asked for. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  sync: async () => (await import('./sync.js')).syncCommand,
  plan: async () => (await import('./plan.js')).planCommand,
  up: async () => (await import('./up.js')).upCommand,
  remote: async () => (await import('./remote.js')).remoteCommand,
  repository: async () => (await import('./repository.js')).repositoryCommand,
  version: async () => (await import('./version.js')).versionCommand,
  distribution: async () => (await import('./distribution.js')).distributionCommand,
  content: async () => (await import('./content.js')).contentCommand,
  check: async () => (await import('./check.js')).checkCommand,
  repair: async () => (await import('./repair.js')).repairCommand,
  download: async () => (await import('./download.js')).downloadCommand,
  reclaim: async () => (await import('./reclaim.js')).reclaimCommand,
  acs: async () => (await import('./acs.js')).acsCommand,
  clean: async () => (await import('./clean.js')).cleanCommand,
  drain: async () => (await import('./drain.js')).drainCommand,
  undrain: async () => (await import('./undrain.js')).undrainCommand,
  worker: async () => (await import('./worker.js')).workerCommand,
  migrate: async () => (await import('./migrate.js')).migrateCommand,
  replay: async () => (await import('./replay.js')).replayCommand,
};

/** The program with the command that is called; with all of them for the help, and for completion. */
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
  const called = commands[argv[2] ?? ''];
  const wanted = called ? [called] : Object.values(commands);
  for (const load of wanted) (await load())(program);
  if (!called) await (await import('./completion.js')).addCompletion(program, argv);
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
