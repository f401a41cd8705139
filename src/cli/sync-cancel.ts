import type { Command } from 'commander';

import { cancelSync } from '../syncs/end-sync';
import { SyncFailed, SyncStopped, quoted } from '../syncs/errors';
import { waitForSync } from '../syncs/wait-for-sync';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';

/** `penstock sync cancel`. */
export function addCancel(sync: Command): void {
  const command = sync
    .command('cancel')
    .description('stop a sync that runs, and wait until it has; the next one goes on where it stopped')
    .argument('<repository>')
    .option('--detach', 'do not wait');
  withOutput(command).action((repository: string, options: OutputOptions & { detach?: boolean }) =>
    run(options, async (context) => {
      const session = await context.open({ temporal: true });
      const { output } = context;
      const execution = await cancelSync(session.client, repository);
      const { workflowId, runId } = execution;
      if (options.detach) {
        output.result({ repository, workflowId, runId, state: 'canceling' }, () =>
          output.quiet ? [] : [`The sync of "${repository}" was asked to stop.`],
        );
        return;
      }
      // Nobody else would: a sync of services that had stopped has no worker but this one.
      if (session.own) await session.startWorker('file');
      const state = await Promise.race([endOf(waitForSync(session.client, execution, repository)), session.failed]);
      output.result({ repository, workflowId, runId, state }, () =>
        output.quiet ? [] : [describe(repository, state)],
      );
    }),
  );
  withExamples(command, [['penstock sync cancel files', '']]);
}

type End = 'canceled' | 'completed' | 'failed';

async function endOf(waiting: Promise<unknown>): Promise<End> {
  try {
    await waiting;
    return 'completed';
  } catch (error) {
    if (error instanceof SyncStopped) return 'canceled';
    if (error instanceof SyncFailed) return 'failed';
    throw error;
  }
}

function describe(repository: string, state: End): string {
  if (state !== 'canceled') return `The sync of "${repository}" has ${state} before it could be canceled.`;
  return `The sync of "${repository}" is canceled. It goes on where it stopped: penstock sync ${quoted(repository)}`;
}
