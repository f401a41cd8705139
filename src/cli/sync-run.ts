import { setTimeout as sleep } from 'node:timers/promises';

import { refuseWhileDrained } from '../draining/errors';
import { formatDate } from '../format-date';
import type { AllowedMissing, SyncMode } from '../models/sync-models';
import { plugins } from '../plugins';
import type { RemoteChanges } from '../repositories/remote-fields';
import { findVersion } from '../repositories/versions';
import { discardOpenSync } from '../syncs/end-sync';
import { SyncAlreadyRunning, SyncFailed, quoted } from '../syncs/errors';
import { prepareSync } from '../syncs/prepare-sync';
import type { SetUpChanges } from '../syncs/prepare-sync';
import { findRunningSync, startOrAttach, startSync } from '../syncs/start-sync';
import { findSyncOf, listFailures, viewSync } from '../syncs/sync-views';
import { handleOf } from '../syncs/sync-workflow';
import type { SyncExecution, SyncRequest, SyncResult } from '../syncs/sync-workflow';
import { formatBytes, formatCount, formatSeconds, plural } from './amounts';
import type { CommandContext } from './command';
import { Interrupted, WrongUsage } from './exit-status';
import { SyncFollower } from './follow-sync';
import { openDisplay } from './progress-display';
import { describeChanges } from './remote';
import { anyGiven, readRemoteOptions } from './remote-options';
import type { RemoteOptions } from './remote-options';
import type { Session } from './session';
import { aborted } from './signals';
import { warnWithoutVersion, warnWithoutWorker, webUiOf } from './sync-places';

/** The options of `penstock sync NAME`. */
export interface SyncOptions extends RemoteOptions {
  readonly type?: string;
  readonly mirror?: boolean;
  readonly optimize: boolean;
  readonly discard?: boolean;
  readonly attach?: boolean;
  readonly detach?: boolean;
  readonly wait?: boolean;
  readonly allowMissing?: AllowedMissing;
  /** Go on with what is incomplete, whatever upstream has now: `penstock sync retry`. */
  readonly onlyMissing?: boolean;
}

/** Milliseconds that a sync gets to come to rest after Ctrl-C. */
const patience = 30_000;

/** Syncs a repository: sets up what is missing, starts the workflow or attaches to it, and follows it to its end. */
export async function runSync(context: CommandContext, repository: string, options: SyncOptions): Promise<void> {
  const { output, interruption } = context;
  refuseContradictions(options);
  const remote = await readRemoteOptions(options);
  const session = await context.open({ temporal: true, start: options.detach ? { for: '--detach' } : true });
  const request: SyncRequest = {
    repository,
    mode: options.mirror ? 'mirror' : 'additive',
    optimize: options.optimize,
    ...(options.allowMissing ? { allowMissing: options.allowMissing } : {}),
    ...(options.onlyMissing ? { onlyMissing: true } : {}),
  };
  let running = await findRunningSync(session.client, repository);
  // Services that had stopped know a workflow that still runs: nobody is there who follows it, and it only waits for a worker.
  const interrupted = session.own !== undefined;
  const attaches = options.attach === true || interrupted;
  if (!running || !options.attach) await refuseWhileDrained(session.database.pool);
  if (running && !attaches) throw new SyncAlreadyRunning(repository, running);
  if (running && !options.attach && (asksForMore(options, remote) || !(await isOfMode(running, request.mode)))) {
    // Another sync was asked for than the one that was interrupted: it goes on in the same version.
    await handleOf(session.client, running).terminate('its services had stopped, and another sync was asked for');
    running = undefined;
  }
  if (running) {
    if (anyGiven(remote)) output.note('The remote stays as it is while its sync runs.');
    if (options.allowMissing) output.note('What may be missing stays as the sync that runs was told.');
  } else {
    const changes = await prepareSync(context.storeOf(session), {
      repository,
      type: options.type,
      standardType: plugins[0]?.name ?? '',
      remote,
    });
    announce(context, repository, changes);
  }
  if (options.discard) await discard(context, session, repository);
  interruption.signal.throwIfAborted();

  const begun = performance.now();
  const starter = { client: session.client, taskQueue: context.settings.taskQueue };
  const execution = attaches
    ? await startOrAttach(starter, request)
    : { ...(await startSync(starter, request)), attached: false };
  const started = { event: 'started', repository, ...execution, webUi: webUiOf(session, execution) };
  if (options.detach) {
    output.result(started, () => (output.quiet ? [] : describeStart(repository, started)));
    await warnWithoutWorker(session, output);
    return;
  }
  if (output.json) await output.item(started, () => '');
  else if (execution.attached) {
    const what = interrupted ? 'Going on with the sync of' : 'Attached to the sync of';
    output.note(`${what} "${repository}" that was begun at ${formatDate(execution.startedAt) ?? ''}.`);
  }

  await follow(context, session, { repository, execution, patient: options.wait ?? false, begun });
}

async function follow(
  context: CommandContext,
  session: Session,
  sync: { repository: string; execution: SyncExecution & { attached: boolean }; patient: boolean; begun: number },
): Promise<void> {
  const { output, interruption } = context;
  const display = openDisplay(output);
  const follower = new SyncFollower(context, session, sync, display);
  try {
    if (session.own) {
      await session.startWorker('file');
      await warnWithoutVersion(session, output);
    } else await warnWithoutWorker(session, output);
    const following = follower.follow();
    following.catch(() => undefined);
    const result = await Promise.race([following, aborted(interruption.signal)]);
    display.end();
    if (!result) throw await stopHere(context, follower.session, sync, following);
    await summarize(context, follower, result, sync);
  } catch (error) {
    display.end();
    if (error instanceof SyncFailed) throw await withFailures(follower, sync, error);
    throw error;
  } finally {
    display.end();
  }
}

/** After Ctrl-C: what this process runs comes to rest first; what others run goes on. */
async function stopHere(
  { output }: CommandContext,
  session: Session,
  { repository, execution }: { repository: string; execution: SyncExecution },
  following: Promise<SyncResult>,
): Promise<Interrupted> {
  const name = quoted(repository);
  if (!session.own) {
    return new Interrupted(
      [
        `The sync of "${repository}" goes on without this command.`,
        `Attach to it:  penstock sync ${name} --attach`,
        `Cancel it:     penstock sync cancel ${name}`,
      ].join('\n'),
      { repository },
    );
  }
  output.note('Stopping the sync; Ctrl-C again ends at once.');
  await handleOf(session.client, execution)
    .cancel()
    .catch(() => undefined);
  await Promise.race([following.catch(() => undefined), sleep(patience, undefined, { ref: false })]);
  return new Interrupted(
    `The sync of "${repository}" was stopped. It goes on where it stopped: penstock sync ${name}`,
    {
      repository,
    },
  );
}

/** Whether a sync that was begun with a bare command would not do what is asked for now. */
function asksForMore({ type, optimize, discard, allowMissing }: SyncOptions, remote: RemoteChanges): boolean {
  return type !== undefined || !optimize || discard === true || allowMissing !== undefined || anyGiven(remote);
}

async function isOfMode(execution: SyncExecution, mode: SyncMode): Promise<boolean> {
  return (await findSyncOf(execution))?.mode === mode;
}

function refuseContradictions({ attach, detach, discard, wait }: SyncOptions): void {
  if (attach && discard)
    throw new WrongUsage('--attach and --discard contradict each other: what runs cannot be thrown away.');
  if (detach && wait) throw new WrongUsage('--detach and --wait contradict each other.');
}

function announce({ output }: CommandContext, repository: string, changes: SetUpChanges): void {
  if (changes.createdRepository) output.note(`Created repository "${repository}".`);
  if (changes.createdRemote !== null) output.note(`Created remote "${changes.createdRemote}".`);
  if (changes.updatedRemote) {
    for (const line of describeChanges(changes.updatedRemote.name, changes.updatedRemote.changes)) output.note(line);
  }
}

async function discard({ settings, output }: CommandContext, session: Session, repository: string): Promise<void> {
  const { client, database } = session;
  const discarded = await discardOpenSync({ client, database, settings }, repository);
  if (discarded) output.note(`Threw away version ${discarded.version}, which was not complete.`);
}

function describeStart(
  repository: string,
  {
    workflowId,
    runId,
    attached,
    webUi,
  }: { workflowId: string; runId: string; attached: boolean; webUi: string | null },
): string[] {
  const name = quoted(repository);
  return [
    `The sync of "${repository}" ${attached ? 'runs already' : 'has started'}: workflow ${workflowId}, run ${runId}.`,
    ...(webUi ? [`Watch it:      ${webUi}`] : []),
    `Attach to it:  penstock sync ${name} --attach`,
  ];
}

async function summarize(
  { output }: CommandContext,
  follower: SyncFollower,
  result: SyncResult,
  {
    repository,
    execution,
    begun,
  }: { repository: string; execution: SyncExecution & { attached: boolean }; begun: number },
): Promise<void> {
  const { sync, present } = await follower.afterwards(async ({ client }) => {
    const row = await findSyncOf(execution);
    const version = await findVersion(repository, result.version);
    return { sync: row ? await viewSync(client, row) : null, present: version.present };
  });
  const took =
    execution.attached && sync?.finishedAt
      ? (sync.finishedAt.getTime() - sync.resumedAt.getTime()) / 1000
      : (performance.now() - begun) / 1000;
  const { version, changed, skipped, added, removed, downloaded, downloadedBytes, missing } = result;
  const summary = {
    repository,
    version,
    changed,
    skipped,
    added,
    removed,
    present,
    downloaded,
    downloadedBytes,
    missing,
  };
  const seconds = Math.round(took * 1000) / 1000;
  if (output.json) {
    await output.item({ event: 'result', ...summary, seconds, sync }, () => '');
    return;
  }
  const what = changed
    ? `version ${formatCount(version)}: ${formatCount(added)} added, ${formatCount(removed)} removed, ${formatCount(present)} present`
    : `${skipped ? 'skipped, no change from previous sync' : 'no change'}; version ${formatCount(version)} stays, ${formatCount(present)} present`;
  output.done(`${output.paint('green', repository)}: ${what}`);
  output.done(
    `Downloaded ${plural(downloaded, 'file')}, ${formatBytes(downloadedBytes)}; took ${formatSeconds(took)}.`,
  );
  if (missing > 0) {
    output.note(
      `${plural(missing, 'content')} could not be had and ${missing === 1 ? 'is' : 'are'} missing; the next sync tries again. Which: penstock sync failures ${quoted(repository)}`,
    );
  }
}

/** With `--json`, the error is followed by all that is missing. */
async function withFailures(
  follower: SyncFollower,
  { execution }: { execution: SyncExecution },
  error: SyncFailed,
): Promise<SyncFailed> {
  const events = await follower
    .afterwards(async ({ client, database }) => {
      const row = await findSyncOf(execution);
      if (!row) return {};
      return { sync: await viewSync(client, row), ...(await listFailures(database.sequelize, row.id, 1000)) };
    })
    .catch(() => ({}));
  return Object.assign(error, { events });
}
