import { quoted } from '../syncs/errors';
import { findSyncOf, readProgress, readStandstill } from '../syncs/sync-views';
import type { SyncExecution, SyncResult } from '../syncs/sync-workflow';
import { waitForSync } from '../syncs/wait-for-sync';
import type { CommandContext } from './command';
import { WorkflowFollower } from './follow-workflow';
import type { ProgressDisplay } from './progress-display';
import type { Session } from './session';
import { StandstillNotes } from './standstill';

/** A sync that is followed. */
export interface FollowedSync {
  readonly repository: string;
  readonly execution: SyncExecution;
  /** Whether to wait however long a connection is lost. */
  readonly patient: boolean;
}

/** Follows a sync to its end. */
export class SyncFollower extends WorkflowFollower<SyncResult> {
  constructor(
    context: CommandContext,
    session: Session,
    { repository, execution, patient }: FollowedSync,
    display: ProgressDisplay,
  ) {
    let syncId: string | undefined;
    const standstill = new StandstillNotes(context.output, repository);
    super(
      context,
      session,
      {
        what: `the sync of "${repository}"`,
        again: `penstock sync ${quoted(repository)} --attach (--wait waits however long)`,
        details: { repository },
        patient,
        wait: (client) => waitForSync(client, execution, repository),
        progress: async ({ database }) => {
          syncId ??= (await findSyncOf(execution))?.id;
          if (syncId === undefined) return [];
          standstill.update(await readStandstill(database.sequelize, syncId));
          return readProgress(syncId);
        },
      },
      display,
    );
  }
}
