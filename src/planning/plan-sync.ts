import type { PoolClient } from 'pg';

import { changedMetadata } from '../../activities/pinned-metadata';
import { summaryOf } from '../../activities/remote-session';
import type { RemoteSession } from '../../activities/remote-session';
import { readResolved } from '../../activities/resolved-contents';
import { DownloadPools } from '../downloads/download-pool';
import { RemoteClient } from '../downloads/remote-client';
import { PassingMetadata } from '../fetching/passing-metadata';
import type { Database } from '../models/database';
import { connectionOf } from '../models/remote-secrets';
import type { SecretBox } from '../models/remote-secrets';
import { Remote } from '../models/repository-models';
import { CannotSync } from '../models/sync-errors';
import type { SyncMode } from '../models/sync-models';
import type { PluginRegistry } from '../plugins';
import { checkUnit } from '../plugins/declared-unit';
import type { DeclaredUnit } from '../plugins/plugin';
import type { Settings } from '../settings';
import { inBatches } from '../staging/unit-batches';
import type { Storage } from '../storage/storage';
import { chooseCourse } from '../syncs/choose-course';
import { findTarget } from '../syncs/find-target';
import type { Target } from '../syncs/find-target';
import { countContents, countDownloads, countUnexplored, listPlannedChanges, makeVersion } from './count-plan';
import type { PlannedChange, PlannedContents, PlannedDownloads } from './count-plan';
import { planBatch } from './plan-batch';
import type { BatchPlanner } from './plan-batch';
import { plannedSync, withPlanningTables } from './planning-tables';

/** What plans are made with. */
export interface PlanningStore {
  readonly database: Database;
  readonly plugins: PluginRegistry;
  readonly storage: Storage;
  readonly settings: Settings;
  /** Opens the box for secrets, which makes the key file at its first use: only where there are secrets. */
  readonly secrets: () => SecretBox;
}

/** What is to be planned. */
export interface PlanRequest {
  readonly repository: string;
  readonly mode: SyncMode;
  readonly optimize: boolean;
  /** How many of the contents that come or go are named. */
  readonly listed: number;
}

/** What a sync of a repository would do. */
export interface SyncPlan {
  readonly repository: string;
  readonly mode: SyncMode;
  /** `resume`: it would go on with the version that was begun; `skip`: nothing has changed; `begin`: it would begin one. */
  readonly course: 'resume' | 'skip' | 'begin';
  /** The interrupted sync with its version: that would go on, or be discarded as upstream or the remote has changed. */
  readonly interrupted: { readonly sync: string; readonly version: number } | null;
  /** The newest complete version, which it would go out from. */
  readonly baseVersion: number;
  readonly contents: readonly PlannedContents[];
  readonly added: number;
  readonly removed: number;
  readonly present: number;
  readonly downloads: PlannedDownloads;
  /** Files that would only be downloaded at their first request. */
  readonly deferred: number;
  /** Contents that lead to more, which is known only once their files are downloaded. */
  readonly unexplored: number;
  /** Stages of the plugin's own: what they would change, drop or refuse is not in the plan. */
  readonly stagesNotRun: readonly string[];
  readonly changes: readonly PlannedChange[];
}

/**
 * Finds out what a sync would do, and changes nothing: it reads upstream's metadata, and compares what that declares with
 * what is saved. It may run beside a sync of the repository.
 *
 * @throws what a sync would fail with before its first download: {@link RepositoryNotFound}, {@link CannotSync},
 *   {@link DownloadFailed}, {@link InvalidMetadata}, {@link InvalidVersion}; or the signal's reason
 */
export async function planSync(store: PlanningStore, request: PlanRequest, signal: AbortSignal): Promise<SyncPlan> {
  const { database, plugins } = store;
  const target = await findTarget(database.pool, request.repository);
  const plugin = plugins.get(target.type);
  const interrupted = await findInterrupted(database, target);
  return withRemote(store, target, async (session) => {
    const { kind } = await chooseCourse(database.pool, target, request, (syncId) =>
      changedMetadata({ database }, session, { syncId, signal }),
    );
    const scope = { target, plugin, resumed: kind === 'resume' ? (interrupted?.sync ?? null) : null };
    return withPlanningTables(database.pool, scope, async (client) => {
      if (kind !== 'skip') {
        const planner = { ...store, client, plugin, allowWeakDigests: store.settings.allowWeakDigests };
        await PassingMetadata.with(session, signal, (metadata) => discover(planner, session, metadata, signal));
        await makeVersion(client, plugin, { ...request, target });
      }
      const contents = await countContents(client, target);
      const sum = (count: (each: PlannedContents) => number) =>
        contents.reduce((total, each) => total + count(each), 0);
      const added = sum((each) => each.new + each.known);
      return {
        repository: request.repository,
        mode: request.mode,
        course: kind,
        interrupted,
        baseVersion: target.latest,
        contents,
        added,
        removed: sum((each) => each.replaced + each.removed),
        present: added + sum((each) => each.kept),
        ...(await countDownloads(client)),
        unexplored: await countUnexplored(client),
        stagesNotRun: kind === 'skip' ? [] : Object.keys(plugin.stages),
        changes: await listPlannedChanges(client, plugins, request.listed),
      };
    });
  });
}

async function findInterrupted({ pool }: Database, target: Target): Promise<SyncPlan['interrupted']> {
  const { rows } = await pool.query<{ sync: string; version: number }>(
    `select sync.id as sync, version.number as version
       from syncs sync join repository_versions version on version.id = sync.version_id
      where sync.repository_id = $1 and sync.state in ('running', 'failed', 'canceled')`,
    [target.repositoryId],
  );
  return rows[0] ?? null;
}

async function withRemote<T>(
  { settings, secrets }: PlanningStore,
  { remoteId }: Target,
  work: (session: RemoteSession) => Promise<T>,
): Promise<T> {
  const remote = await Remote.findByPk(remoteId);
  if (!remote) throw new CannotSync('The remote was deleted meanwhile. Give the repository another one.');
  const connection = connectionOf(remote, remote.secrets ? secrets() : { open: () => ({}) });
  const client = new RemoteClient(connection, settings);
  const pool = new DownloadPools().join('plan', { slots: 1, requestsPerSecond: connection.rateLimit });
  try {
    return await work({ remoteId: remote.id, connection, summary: summaryOf(remote), client, pool });
  } finally {
    pool.leave();
    await client.close();
  }
}

/** Runs the first stage, and each of its steps whose contents and files are saved already. */
async function discover(
  planner: BatchPlanner,
  { summary }: RemoteSession,
  metadata: PassingMetadata,
  signal: AbortSignal,
): Promise<void> {
  const { client, plugin, storage } = planner;
  const source = { url: summary.url, deferred: summary.policy !== 'immediate' };
  const check = (unit: DeclaredUnit) => checkUnit(unit, plugin, source);
  for (let discovery = 1; ; discovery += 1) {
    const name = await stepOf(client, discovery);
    if (name === undefined) return;
    const step = plugin.firstStage[name];
    if (!step) throw new Error(`the first stage of "${plugin.name}" has no step "${name}"`);
    const resolved = readResolved({ pool: client, storage }, { syncId: plannedSync, discovery });
    const declared = step({ remote: summary, metadata: (url) => metadata.read(url), resolved, signal });
    for await (const batch of inBatches(declared, { skipped: 0, check, signal })) {
      await planBatch(planner, discovery, batch);
    }
  }
}

async function stepOf(client: PoolClient, discovery: number): Promise<string | undefined> {
  const { rows } = await client.query<{ step: string }>(
    'select step from sync_discoveries where sync_id = $1 and number = $2',
    [plannedSync, discovery],
  );
  return rows[0]?.step;
}
