import { Option } from 'commander';
import type { Command } from 'commander';

import { refuseWhileDrained } from '../draining/errors';
import { retryInSync } from '../syncs/operate-sync';
import { quoted } from '../syncs/errors';
import { findSync, listFailures, viewSync } from '../syncs/sync-views';
import { plural } from './amounts';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import { runSync } from './sync-run';

interface RetryOptions extends OutputOptions {
  readonly detach?: boolean;
  readonly wait?: boolean;
}

/** `penstock sync retry`. */
export function addRetry(sync: Command): void {
  const command = sync
    .command('retry')
    .description('try again what a sync could not have, and nothing else; while it runs, or after it has failed')
    .argument('<repository>');
  for (const [flags, description] of [
    ['--detach', 'return at once, and let the sync go on'],
    ['--wait', 'wait for the end however long a connection is lost'],
  ] as const)
    command.addOption(new Option(flags, description));
  withOutput(command).action((repository: string, options: RetryOptions) =>
    run(
      options,
      async (context) => {
        const { output } = context;
        const session = await context.open({ temporal: true });
        await refuseWhileDrained(session.database.pool);
        const row = await findSync(repository);
        const { state, mode } = await viewSync(session.client, row);
        const { total } = await listFailures(session.database.sequelize, row.id, 1);
        if (state === 'running' || state === 'paused') {
          const { workflowId, runId } = await retryInSync(session.client, repository);
          output.result({ repository, workflowId, runId, state, failureCount: total }, () =>
            output.quiet
              ? []
              : [
                  `The sync of "${repository}" tries ${plural(total, 'failure')} again${state === 'paused' ? ', once it is resumed' : ''}.`,
                ],
          );
          return;
        }
        if (total === 0) {
          const isOpen = state === 'failed' || state === 'canceled' || state === 'interrupted';
          const rest = isOpen
            ? ` that can be tried alone: its last sync is ${state}. Go on with it: penstock sync ${quoted(repository)}`
            : '.';
          output.result({ repository, state, failureCount: 0 }, () =>
            output.quiet ? [] : [`Nothing is known to be missing from repository "${repository}"${rest}`],
          );
          return;
        }
        // What was completed without them has no version that is open: a sync finds all else to be known.
        const onlyMissing = state !== 'completed';
        await runSync(context, repository, { ...options, optimize: true, mirror: mode === 'mirror', onlyMissing });
      },
      { handlesSignals: true, events: true },
    ),
  );
  withExamples(command, [['penstock sync retry files', '']]);
}
