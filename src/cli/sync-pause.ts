import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from 'commander';

import { pauseSync, resumeSync } from '../syncs/operate-sync';
import { quoted } from '../syncs/errors';
import { findSync, viewSync } from '../syncs/sync-views';
import type { ShownState } from '../syncs/sync-views';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import type { Session } from './session';

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
      const execution = await pauseSync(session.client, repository, options.reason);
      const state = options.detach ? 'pausing' : await restOf(session, repository);
      output.result({ repository, workflowId: execution.workflowId, runId: execution.runId, state }, () =>
        output.quiet ? [] : [describe(repository, state)],
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
      const { workflowId, runId } = await resumeSync(session.client, repository);
      output.result({ repository, workflowId, runId, state: 'running' }, () =>
        output.quiet ? [] : [`The sync of "${repository}" goes on.`],
      );
    }),
  );
  withExamples(command, [['penstock sync resume files', '']]);
}

/** Waits until what was under way has come to rest, or the sync has ended before. */
async function restOf({ client }: Session, repository: string): Promise<ShownState> {
  for (;;) {
    const { state } = await viewSync(client, await findSync(repository));
    if (state !== 'running') return state;
    await sleep(200);
  }
}

function describe(repository: string, state: ShownState | 'pausing'): string {
  if (state === 'pausing') return `The sync of "${repository}" was asked to pause.`;
  if (state !== 'paused') return `The sync of "${repository}" has ended before it could be paused: ${state}.`;
  return `The sync of "${repository}" is paused. It goes on with: penstock sync resume ${quoted(repository)}`;
}
