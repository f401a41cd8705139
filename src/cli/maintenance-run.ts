import { setTimeout as sleep } from 'node:timers/promises';

import { refuseWhileDrained } from '../draining/errors';
import { formatDate } from '../format-date';
import { startOrAttach } from '../maintenance/maintenance-workflow';
import type { MaintenanceKind } from '../maintenance/maintenance-workflow';
import { handleOf } from '../syncs/sync-workflow';
import type { SyncExecution } from '../syncs/sync-workflow';
import type { ProgressView } from '../syncs/sync-views';
import { waitForWorkflow } from '../syncs/wait-for-sync';
import type { CommandContext } from './command';
import { Interrupted } from './exit-status';
import { WorkflowFollower } from './follow-workflow';
import { openDisplay } from './progress-display';
import type { Session } from './session';
import { aborted } from './signals';
import { warnWithoutWorker, webUiOf } from './sync-places';

/** Milliseconds that the workflow gets to come to rest after Ctrl-C. */
const patience = 30_000;

/** A command that runs maintenance. */
export interface MaintenanceCommand<Request, Result> {
  readonly kind: MaintenanceKind<Request, Result>;
  readonly request: Request;
  /** Does not attach to one that runs. */
  readonly anew: boolean;
  /** As `repair`. */
  readonly what: string;
  /** The command line that goes on with it. */
  readonly again: string;
  /** Refuses what makes no sense, before anything is started. */
  check(session: Session): Promise<void>;
  progress(session: Session, runId: string): Promise<readonly ProgressView[]>;
  /** Prints what it has come to, once it is over. */
  report(session: Session, result: Result): Promise<void>;
}

/** Starts the workflow, or attaches to the one that runs, and follows it to its end. */
export async function runMaintenance<Request extends object, Result>(
  context: CommandContext,
  command: MaintenanceCommand<Request, Result>,
  { detach = false }: { readonly detach?: boolean },
): Promise<void> {
  const { output, settings } = context;
  const { what, again } = command;
  const session = await context.open({ temporal: true, start: detach ? { for: '--detach' } : true });
  await command.check(session);
  await refuseWhileDrained(session.database.pool);
  const starter = { client: session.client, taskQueue: settings.taskQueue, replaces: session.own !== undefined };
  const execution = await startOrAttach(starter, command.kind, command.request, command.anew);
  const started = { event: 'started', ...execution, webUi: webUiOf(session, execution) };
  if (detach) {
    output.result(started, () =>
      output.quiet
        ? []
        : [
            `The ${what} ${execution.attached ? 'runs already' : 'has started'}: workflow ${execution.workflowId}, run ${execution.runId}.`,
            ...(started.webUi ? [`Watch it:      ${started.webUi}`] : []),
            `Attach to it:  ${again}`,
          ],
    );
    await warnWithoutWorker(session, output);
    return;
  }
  if (output.json) await output.item(started, () => '');
  else if (execution.attached) {
    output.note(`Attached to the ${what} that was begun at ${formatDate(execution.startedAt) ?? ''}.`);
  }
  await follow(context, session, command, execution);
}

async function follow<Request, Result>(
  context: CommandContext,
  session: Session,
  command: MaintenanceCommand<Request, Result>,
  execution: SyncExecution,
): Promise<void> {
  const { output, interruption } = context;
  const { what, again } = command;
  const display = openDisplay(output);
  const work = { what, again, details: { workflowId: execution.workflowId } };
  const follower = new WorkflowFollower<Result>(
    context,
    session,
    {
      ...work,
      what: `the ${what}`,
      patient: false,
      wait: (client) => waitForWorkflow<Result>(client, execution, work),
      progress: (current) => command.progress(current, execution.runId),
    },
    display,
  );
  try {
    if (session.own) await session.startWorker('file');
    else await warnWithoutWorker(session, output);
    const following = follower.follow();
    following.catch(() => undefined);
    const ended = await Promise.race([following.then((result) => ({ result })), aborted(interruption.signal)]);
    display.end();
    if (!ended) throw await stopHere(context, follower.session, command, execution, following);
    await follower.afterwards((current) => command.report(current, ended.result));
  } finally {
    display.end();
  }
}

/** After Ctrl-C: what this process runs comes to rest first; what others run goes on. */
async function stopHere<Request, Result>(
  { output }: CommandContext,
  session: Session,
  { what, again }: MaintenanceCommand<Request, Result>,
  execution: SyncExecution,
  following: Promise<unknown>,
): Promise<Interrupted> {
  if (!session.own) {
    return new Interrupted(
      [
        `The ${what} goes on without this command.`,
        `Attach to it:  ${again}`,
        `Cancel it:     temporal workflow cancel --workflow-id ${execution.workflowId}`,
      ].join('\n'),
    );
  }
  output.note(`Stopping the ${what}; Ctrl-C again ends at once.`);
  await handleOf(session.client, execution)
    .cancel()
    .catch(() => undefined);
  await Promise.race([following.catch(() => undefined), sleep(patience, undefined, { ref: false })]);
  return new Interrupted(`The ${what} was stopped. Go on with it: ${again}`);
}
