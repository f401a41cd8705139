import { Option } from 'commander';
import type { Command } from 'commander';

import { plugins } from '../plugins';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import { withRemoteOptions } from './remote-options';
import { readAllowedMissing } from './allowed-missing';
import { addCancel } from './sync-cancel';
import { addDiscard } from './sync-discard';
import { addFailures } from './sync-failures';
import { addLimit } from './sync-limit';
import { addList } from './sync-list';
import { addPause, addResume } from './sync-pause';
import { addRetry } from './sync-retry';
import { runSync } from './sync-run';
import type { SyncOptions } from './sync-run';
import { addShow } from './sync-show';

/** `penstock sync`: `sync NAME` runs a sync, and there are commands to look at syncs and to end them. */
export function syncCommand(program: Command): void {
  const sync = program
    .command('sync')
    .description('sync a repository with its remote; both are created where they do not exist');
  withSyncOptions(sync);
  addList(sync);
  addShow(sync);
  addFailures(sync);
  addRetry(sync);
  addPause(sync);
  addResume(sync);
  addLimit(sync);
  addCancel(sync);
  addDiscard(sync);
  // The long form, for a repository whose name is that of a command.
  withSyncOptions(sync.command('run', { hidden: true }).description('sync a repository, also one called "list"'));
  withExamples(sync, [
    ['penstock sync files --url https://example.org/files/PULP_MANIFEST', 'creates it, and syncs it'],
    ['penstock sync files', 'again: only what is new is downloaded'],
    ['penstock sync files --mirror', 'removes what upstream no longer has'],
    ['penstock sync files --policy on_demand', 'changes the remote, and syncs'],
    ['penstock sync files --detach', 'returns at once; needs "penstock up" or given services'],
    ['penstock sync files --attach --wait', 'follows the sync that runs, however long'],
  ]);
}

function withSyncOptions(command: Command): void {
  const add = (flags: string, description: string) => {
    command.addOption(new Option(flags, description).helpGroup('Sync:'));
  };
  command.argument('<name>', 'the repository');
  add('--mirror', 'remove what upstream does not have; otherwise content is only added');
  add('--no-optimize', 'look at everything, also where nothing has changed since the last sync');
  add('--discard', 'throw an incomplete version away first, instead of going on with it');
  command.addOption(
    new Option('--allow-missing <amount>', 'complete the version although so many contents could not be had: 3, or 5%')
      .argParser(readAllowedMissing)
      .helpGroup('Sync:'),
  );
  add('--attach', 'follow the sync that runs already; where none does, start one');
  add('--detach', 'return at once, and let the sync go on');
  add('--wait', 'wait for the end however long a connection is lost');
  command.addOption(
    new Option('--type <plugin>', `of a new repository: ${plugins.map(({ name }) => name).join(', ')} (the first)`)
      .choices(plugins.map(({ name }) => name))
      .helpGroup('Remote:'),
  );
  command.addOption(new Option('--url <url>', 'http, https or file; no credentials inside').helpGroup('Remote:'));
  withOutput(withRemoteOptions(command)).action((name: string, options: SyncOptions & OutputOptions) =>
    run(options, (context) => runSync(context, name, options), { handlesSignals: true, events: true }),
  );
}
