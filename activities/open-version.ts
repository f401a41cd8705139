import type { Queryable } from '../src/models/database';
import type { SyncMode } from '../src/models/sync-models';
import type { Policy } from '../src/models/repository-models';
import type { Plugin } from '../src/plugins/plugin';
import { lockRepository } from '../src/repositories/lock-repository';
import { discardSync } from '../src/staging/discard-sync';
import { metadataPrefix } from '../src/storage/storage';
import { chooseCourse } from '../src/syncs/choose-course';
import { findTarget } from '../src/syncs/find-target';
import type { Target } from '../src/syncs/find-target';
import { activitySignal } from './activity-signal';
import { beginSync, resumeSync, skipSync, takeOver } from './begin-sync';
import type { ActivityDependencies } from './dependencies';
import { holdWhileDrained, inUndrainedTransaction } from './hold-while-drained';
import { changedMetadata } from './pinned-metadata';
import { openNumbers } from './open-numbers';
import type { NumberRange } from './open-numbers';
import { planStage } from './planned-stage';
import type { PlannedStage } from './planned-stage';
import { withRemote } from './remote-session';
import type { DownloadShare } from './stage';

/** What a sync is asked to do. */
export interface OpenVersionInput {
  readonly repository: string;
  readonly mode: SyncMode;
  /** Whether to end at once where nothing has changed since the last completed sync. */
  readonly optimize: boolean;
  /** Whether to go on with the sync that was begun, without asking whether upstream has changed since. */
  readonly onlyMissing?: boolean;
}

/** The version that a sync works on: begun now, or by the sync that was interrupted. */
export interface OpenedVersion {
  readonly syncId: string;
  readonly plugin: string;
  readonly remote: string;
  readonly policy: Policy;
  readonly version: number;
  /** Nothing has changed since the last completed sync; `version` is what that one has made. */
  readonly skipped: boolean;
  /** Contents of what that one has made; only where this one is skipped. */
  readonly present?: number;
  readonly stages: readonly PlannedStage[];
  /** What the remote allows for the whole sync. */
  readonly limits: DownloadShare;
  /** The last batch and the last discovery that are known, and those up to there which are not over. */
  readonly batches: number;
  readonly openBatches: readonly NumberRange[];
  readonly discoveries: number;
  readonly openDiscoveries: readonly NumberRange[];
}

/** Begins a version, or goes on with the one that was begun, where upstream's metadata is still the same. */
export const openVersion =
  (dependencies: ActivityDependencies) =>
  async (input: OpenVersionInput): Promise<OpenedVersion> => {
    const { database, plugins, storage } = dependencies;
    await holdWhileDrained(database.pool);
    const target = await findTarget(database.pool, input.repository);
    const plugin = plugins.get(target.type);
    const course = await chooseCourse(database.pool, target, input, (syncId) =>
      metadataChanged(dependencies, syncId, target),
    );
    if (course.kind === 'resume') {
      await inUndrainedTransaction(database.pool, (client) => resumeSync(client, course.syncId, input));
      return describe(dependencies, course.syncId, plugin);
    }
    if (course.kind === 'skip') {
      const syncId = await inUndrainedTransaction(database.pool, (client) => skipSync(client, target, input));
      const present = await countPresent(database.pool, target);
      return { ...(await describe(dependencies, syncId, plugin)), version: target.latest, skipped: true, present };
    }
    const { discards } = course;
    const syncId = await inUndrainedTransaction(database.pool, async (client) => {
      await lockRepository(client, input.repository);
      if (discards !== null) {
        await takeOver(client, discards);
        await discardSync(client, discards);
        // Before the commit: after it, nobody would know of these files any more. Where it fails, they are fetched again.
        await storage.removeAll(metadataPrefix(discards));
      }
      return beginSync(client, target, input);
    });
    return describe(dependencies, syncId, plugin);
  };

async function countPresent(client: Queryable, { repositoryId, latest }: Target): Promise<number> {
  const { rows } = await client.query<{ present: number }>(
    `select coalesce(sum(counts.present), 0)::int as present
       from repository_versions version join repository_version_counts counts on counts.version_id = version.id
      where version.repository_id = $1 and version.number = $2`,
    [repositoryId, latest],
  );
  return rows[0]?.present ?? 0;
}

async function metadataChanged(dependencies: ActivityDependencies, syncId: string, { rate }: Target): Promise<boolean> {
  return withRemote(dependencies, syncId, { slots: 1, requestsPerSecond: rate }, (session) =>
    changedMetadata(dependencies, session, { syncId, signal: activitySignal() }),
  );
}

async function describe({ database }: ActivityDependencies, syncId: string, plugin: Plugin): Promise<OpenedVersion> {
  const { rows } = await database.pool.query<{
    remote: string;
    policy: Policy;
    version: number | null;
    batches: number;
    discoveries: number;
    slots: number;
    rate: number | null;
  }>(
    `select remote.name as remote, sync.policy, version.number as version, sync.batches, sync.discoveries,
            remote.download_concurrency as slots, remote.rate_limit as rate
       from syncs sync
       join remotes remote on remote.id = sync.remote_id
       left join repository_versions version on version.id = sync.version_id
      where sync.id = $1`,
    [syncId],
  );
  const sync = rows[0];
  if (!sync) throw new Error(`There is no sync ${syncId}.`);
  return {
    syncId,
    plugin: plugin.name,
    remote: sync.remote,
    policy: sync.policy,
    version: sync.version ?? 0,
    skipped: false,
    stages: plugin.pipeline.map((name) => planStage(plugin, name)),
    limits: { slots: sync.slots, requestsPerSecond: sync.rate },
    batches: sync.batches,
    openBatches: await openNumbers(database.pool, 'sync_batches', syncId),
    discoveries: sync.discoveries,
    openDiscoveries: await openNumbers(database.pool, 'sync_discoveries', syncId),
  };
}
