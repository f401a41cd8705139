import { PenstockError } from '../errors';
import { formatDate } from '../format-date';

/** A name as a shell takes it. */
export function quoted(name: string): string {
  return /^[\w.:@%+=-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}

/** A sync of the repository runs already. */
export class SyncAlreadyRunning extends PenstockError {
  override readonly transient = true;

  /** @param running the workflow; without its run where that has ended in this very moment. */
  constructor(
    repository: string,
    {
      workflowId,
      runId,
      startedAt,
    }: { readonly workflowId: string; readonly runId?: string; readonly startedAt?: Date },
  ) {
    const since = startedAt && formatDate(startedAt);
    super(
      [
        `Repository "${repository}" is being synced already${since ? `, since ${since}` : ''} (workflow ${workflowId}${runId ? `, run ${runId}` : ''}).`,
        `Attach to that sync:  penstock sync ${quoted(repository)} --attach`,
        `Cancel it:            penstock sync cancel ${quoted(repository)}`,
      ].join('\n'),
      { repository, workflowId, runId, since: startedAt?.toISOString() },
    );
  }
}

/** There is no such sync. */
export class SyncNotFound extends PenstockError {}

/** No workflow syncs the repository. */
export class NotSyncing extends PenstockError {}

/** The sync is in a state in which it cannot do what it was asked to. */
export class UpdateRefused extends PenstockError {}

/** The workflow runs, and no worker was there to hear what it was asked for. */
export class NoWorkerAnswers extends PenstockError {
  override readonly transient = true;

  constructor(repository: string, milliseconds: number) {
    super(
      `No worker has answered for the sync of "${repository}" within ${milliseconds / 1000} s. Start one with "penstock worker" or "penstock up", and say it again.`,
      { repository },
    );
  }
}

/** Temporal lacks what `penstock migrate` sets up: the namespace is not there, or not its search attributes. */
export class TemporalNotSetUp extends PenstockError {}

/** Somebody canceled or terminated the sync; what it has done stays for the next one. */
export class SyncStopped extends PenstockError {
  override readonly transient = true;
}

/** The sync has failed: the message is that of the error which stopped it. */
export class SyncFailed extends PenstockError {
  constructor(
    readonly failure: string,
    message: string,
    details: ConstructorParameters<typeof PenstockError>[1],
    override readonly transient: boolean,
  ) {
    super(message, details);
    this.name = failure;
  }
}
