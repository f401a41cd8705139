import type { PoolClient } from 'pg';

import { inTransaction } from '../src/models/database';
import type { SyncMode } from '../src/models/sync-models';
import { CannotSync, RepositoryNotFound } from '../src/models/sync-errors';
import type { Policy } from '../src/models/repository-models';
import type { Plugin } from '../src/plugins/plugin';
import { lockRepository } from '../src/repositories/lock-repository';
import { discardSync } from '../src/staging/discard-sync';
import { metadataPrefix } from '../src/storage/storage';
import { activitySignal } from './activity-signal';
import { beginSync, resumeSync, skipSync, takeOver } from './begin-sync';
import type { Target } from './begin-sync';
import type { ActivityDependencies } from './dependencies';
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
    const target = await findTarget(database.pool, input.repository);
    const plugin = plugins.get(target.type);
    const open = await findOpenSync(database.pool, target.repositoryId);

    const goesOn = open !== undefined && sameSource(open, target);
    if (input.onlyMissing && !goesOn) throw nothingToRetry(input.repository, open !== undefined);
    if (goesOn && (input.onlyMissing || !(await metadataChanged(dependencies, open.id, target)))) {
      await inTransaction(database.pool, (client) => resumeSync(client, open.id, input));
      return describe(dependencies, open.id, plugin);
    }
    const last = input.optimize && !open ? await findLastCompleted(database.pool, target.repositoryId) : undefined;
    if (
      last?.mode === input.mode &&
      sameSource(last, target) &&
      last.pins > 0 &&
      last.missing === 0 &&
      last.resultVersion === target.latest &&
      !(await metadataChanged(dependencies, last.id, target))
    ) {
      const syncId = await inTransaction(database.pool, (client) => skipSync(client, target, input));
      const present = await countPresent(database.pool, target);
      return { ...(await describe(dependencies, syncId, plugin)), version: target.latest, skipped: true, present };
    }
    const syncId = await inTransaction(database.pool, async (client) => {
      await lockRepository(client, input.repository);
      if (open) {
        await takeOver(client, open.id);
        await discardSync(client, open.id);
      }
      return beginSync(client, target, input);
    });
    if (open) await storage.removeAll(metadataPrefix(open.id));
    return describe(dependencies, syncId, plugin);
  };

type Queryable = Pick<PoolClient, 'query'>;

async function findTarget(client: Queryable, repository: string): Promise<Target> {
  const { rows } = await client.query<Target & { remote: string | null; remoteType: string }>(
    `select repository.id as "repositoryId", repository.type, remote.id as "remoteId", remote.name as remote,
            remote.type as "remoteType", remote.url, remote.policy, remote.rate_limit as rate,
            coalesce((select max(number) from repository_versions where repository_id = repository.id and complete), 0) as latest
       from repositories repository left join remotes remote on remote.id = repository.remote_id
      where repository.name = $1`,
    [repository],
  );
  const target = rows[0];
  if (!target) throw new RepositoryNotFound(repository);
  if (target.remote === null) {
    throw new CannotSync(
      `Repository "${repository}" has no remote. Give it one: penstock repository update ${repository} --remote NAME`,
      { repository },
    );
  }
  if (target.remoteType !== target.type) {
    throw new CannotSync(
      `Repository "${repository}" is of type ${target.type}, its remote "${target.remote}" of type ${target.remoteType}.`,
      {
        repository,
        remote: target.remote,
        expected: target.type,
        found: target.remoteType,
      },
    );
  }
  return target;
}

interface EarlierSync {
  readonly id: string;
  readonly remoteId: string | null;
  readonly url: string;
  readonly policy: string;
  readonly mode: SyncMode;
  readonly resultVersion: number | null;
  readonly pins: number;
  readonly missing: number;
}

const earlierSync = `
  select id, remote_id as "remoteId", url, policy, mode, missing, result_version as "resultVersion",
         (select count(*)::int from sync_metadata where sync_id = syncs.id) as pins
    from syncs`;

async function findOpenSync(client: Queryable, repositoryId: string): Promise<EarlierSync | undefined> {
  const { rows } = await client.query<EarlierSync>(
    `${earlierSync} where repository_id = $1 and state in ('running', 'failed', 'canceled')`,
    [repositoryId],
  );
  return rows[0];
}

async function findLastCompleted(client: Queryable, repositoryId: string): Promise<EarlierSync | undefined> {
  const { rows } = await client.query<EarlierSync>(
    `${earlierSync} where repository_id = $1 and state = 'completed' order by id desc limit 1`,
    [repositoryId],
  );
  return rows[0];
}

async function countPresent(client: Queryable, { repositoryId, latest }: Target): Promise<number> {
  const { rows } = await client.query<{ present: number }>(
    `select coalesce(sum(counts.present), 0)::int as present
       from repository_versions version join repository_version_counts counts on counts.version_id = version.id
      where version.repository_id = $1 and version.number = $2`,
    [repositoryId, latest],
  );
  return rows[0]?.present ?? 0;
}

function nothingToRetry(repository: string, begun: boolean): CannotSync {
  const why = begun
    ? 'its remote has another url or policy now than the sync that is incomplete'
    : 'no sync of it is incomplete';
  return new CannotSync(
    `Nothing of repository "${repository}" can be tried again alone: ${why}. Sync it: penstock sync ${repository}`,
    {
      repository,
    },
  );
}

function sameSource(earlier: EarlierSync, target: Target): boolean {
  return earlier.remoteId === target.remoteId && earlier.url === target.url && earlier.policy === target.policy;
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
