import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from 'commander';

import { refuseWhileDrained } from '../draining/errors';
import { pauseSync, resumeSync } from '../syncs/operate-sync';
import { findSync, viewSync } from '../syncs/sync-views';
import type { ShownState } from '../syncs/sync-views';
import type { SyncExecution } from '../syncs/sync-workflow';
import { activityOf } from '../syncs/workflow-activity';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import type { Session } from './session';
import { resumeCommand } from './standstill';

/** `penstock sync pause`. */
export function addPause(sync: Command): void {
  const command = sync
    .command('pause')
    .description('bring a sync that runs to rest until it is resumed; what was downloaded is kept')
    .argument('<repository>')
    .option('--reason <text>', 'why, for those who look at it', 'paused by an operator')
    .option('--detach', 'do not wait until it has come to rest');
  withOutput(command).action((repository: string, options: OutputOptions & { reason: string; detach?: boolean }) =>
    run(options, async (context) => {
      const session = await context.open({ temporal: true });
      const { output } = context;
      const { reason, ...execution } = await pauseSync(session.client, repository, options.reason);
      const { workflowId, runId } = execution;
      const state = options.detach ? 'pausing' : await restOf(session, execution, repository);
      output.result({ repository, workflowId, runId, state, reason }, () =>
        output.quiet ? [] : [describe(repository, state, reason, options.reason)],
      );
    }),
  );
  withExamples(command, [['penstock sync pause files --reason "the mirror is being moved"', '']]);
}

/** `penstock sync resume`. */
export function addResume(sync: Command): void {
  const command = sync.command('resume').description('let a paused sync go on').argument('<repository>');
  withOutput(command).action((repository: string, options: OutputOptions) =>
    run(options, async (context) => {
      const session = await context.open({ temporal: true });
      const { output } = context;
      await refuseWhileDrained(session.database.pool);
      const { workflowId, runId } = await resumeSync(session.client, repository);
      output.result({ repository, workflowId, runId, state: 'running' }, () =>
        output.quiet ? [] : [`The sync of "${repository}" goes on.`],
      );
    }),
  );
  withExamples(command, [['penstock sync resume files', '']]);
}

/** Waits until what was under way has come to rest, or the sync has ended before. */
async function restOf({ client }: Session, { workflowId }: SyncExecution, repository: string): Promise<ShownState> {
  for (;;) {
    const activity = await activityOf(client, workflowId);
    if (activity === 'idle') return 'paused';
    if (activity === 'over') return (await viewSync(client, await findSync(repository))).state;
    await sleep(200);
  }
}

function describe(repository: string, state: ShownState | 'pausing', reason: string, asked: string): string {
  if (state === 'pausing') return `The sync of "${repository}" was asked to pause.`;
  if (state !== 'paused') return `The sync of "${repository}" has ended before it could be paused: ${state}.`;
  const already = reason === asked ? '' : ` already, for another reason (${reason})`;
  return `The sync of "${repository}" is paused${already}. It goes on with: ${resumeCommand(repository, reason)}`;
}
