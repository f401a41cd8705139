import { declaredFiles } from '../src/alternates/declared-files';
import { AlternateNotFound, RefreshFailed } from '../src/alternates/errors';
import { metadataUrlAt } from '../src/alternates/metadata-url';
import {
  beginPath,
  endPath,
  noteArtifacts,
  publish,
  readRefresh,
  removeArtifactsOf,
} from '../src/alternates/refreshes';
import type { RefreshProgress, RefreshRow } from '../src/alternates/refreshes';
import { displayUrl } from '../src/downloads/display-url';
import { PenstockError } from '../src/errors';
import { PassingMetadata } from '../src/fetching/passing-metadata';
import { SourceRemotes } from '../src/fetching/source-remotes';
import { Remote } from '../src/models/repository-models';
import { RemoteNotFound } from '../src/repositories/errors';
import { activitySignal } from './activity-signal';
import { currentFence, currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { inUndrainedTransaction } from './hold-while-drained';
import { describeHeartbeats } from './interceptors';
import { MaintenanceAttempt, endMaintenance, endTerminated, turn } from './maintenance-attempt';
import type { MaintenanceEnd } from './maintenance-attempt';
import { summaryOf } from './remote-session';
import { StaleAttempt } from './stage';

/** Which alternate content source is refreshed. */
export interface RefreshRequest {
  readonly alternate: string;
}

/** Begins a refresh; once for a workflow, also where this attempt is not the first. */
export const openRefresh =
  ({ database }: ActivityDependencies) =>
  async ({ alternate }: RefreshRequest): Promise<{ readonly refreshId: string }> => {
    const { workflowId, runId } = currentWorkflow();
    return inUndrainedTransaction(database.pool, async (client) => {
      // What such a one has found is of another day: a refresh begins at the beginning.
      await endTerminated(client, 'alternate_refreshes');
      const { rows } = await client.query<{ id: string }>(
        `with source as (select id, paths from alternate_content_sources where name = $4 for key share),
              known as (select id from alternate_refreshes where run_id = $2),
              begun as (
                insert into alternate_refreshes (source_id, paths, workflow_id, run_id, fence, state)
                select id, paths, $1, $2, $3, 'running' from source where not exists (select from known) returning id)
         select id from known union all select id from begun`,
        [workflowId, runId, currentFence(), alternate],
      );
      if (!rows[0]) throw new AlternateNotFound(alternate);
      return { refreshId: rows[0].id };
    });
  };

/**
 * Reads metadata for a while, path by path, and notes the files that it declares; after the last one, these take the place of what
 * was known before. A path that was interrupted is read again from its beginning.
 *
 * @throws {@link RefreshFailed}
 */
export const refreshBatch =
  (dependencies: ActivityDependencies) =>
  async ({ refreshId }: { readonly refreshId: string }): Promise<RefreshProgress> => {
    const { pool } = dependencies.database;
    const attempt = await MaintenanceAttempt.begin(pool, 'alternate_refreshes', refreshId);
    let refresh = await readRefresh(pool, refreshId);
    describeHeartbeats(() => ({ read: refresh.read, of: refresh.paths.length, artifacts: refresh.artifacts }));
    const isRead = () => refresh.read === refresh.paths.length;
    for (const until = performance.now() + turn; !isRead() && performance.now() < until;) {
      await readPath(dependencies, attempt, refresh);
      refresh = await readRefresh(pool, refreshId);
    }
    if (isRead()) {
      await attempt.transaction((client) => publish(client, refresh));
      await removeArtifactsOf(pool, refresh.sourceId, activitySignal());
    }
    const { paths, read, artifacts, withoutSha256, unexplored } = refresh;
    return { refreshId, over: isRead(), paths: paths.length, read, artifacts, withoutSha256, unexplored };
  };

async function readPath(
  dependencies: ActivityDependencies,
  attempt: MaintenanceAttempt,
  { name, remoteId, paths, read }: RefreshRow,
): Promise<void> {
  const remote = await Remote.findByPk(remoteId);
  if (!remote) throw new RemoteNotFound(remoteId);
  const url = metadataUrlAt(remote.url, paths[read] ?? undefined);
  const { database, storage, plugins } = dependencies;
  const remotes = new SourceRemotes(dependencies, 'refresh');
  const signal = activitySignal();
  try {
    await attempt.transaction((client) => beginPath(client, attempt.id));
    const session = { ...(await remotes.open(remoteId)), observer: dependencies.metrics.downloadsOf(url) };
    await PassingMetadata.with(session, signal, async (metadata) => {
      let [withoutSha256, unexplored] = [0, 0];
      const exploration = {
        ...{ pool: database.pool, storage, signal, plugin: plugins.get(remote.type) },
        remote: { ...summaryOf(remote), url },
        metadata: (each: string) => metadata.read(each),
      };
      for await (const declared of declaredFiles(exploration)) {
        const files = declared.files.filter(({ digests }) => digests.sha256 !== undefined);
        await attempt.transaction((client) => noteArtifacts(client, attempt.id, files));
        withoutSha256 += declared.files.length - files.length;
        unexplored += declared.unexplored;
      }
      await attempt.transaction((client) => endPath(client, attempt.id, { withoutSha256, unexplored }));
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof PenstockError) || error instanceof StaleAttempt) throw error;
    throw new RefreshFailed(name, displayUrl(url), error);
  } finally {
    await remotes.close();
  }
}

/** Notes how a refresh has ended. */
export const endRefresh =
  ({ database }: ActivityDependencies) =>
  (end: MaintenanceEnd): Promise<void> =>
    endMaintenance(database.pool, 'alternate_refreshes', end);
