import type { PoolClient } from 'pg';

/**
 * Throws an open sync away with its incomplete version: staging, checkpoint and associations. Saved contents and artifacts
 * stay and are found again. The caller has made sure that no workflow works on it.
 */
export async function discardSync(client: PoolClient, syncId: string): Promise<void> {
  const { rows } = await client.query<{ versionId: string | null }>(
    `update syncs set state = 'discarded', finished_at = now() where id = $1 returning version_id as "versionId"`,
    [syncId],
  );
  await removeStaging(client, syncId);
  await client.query('delete from sync_metadata where sync_id = $1', [syncId]);
  const versionId = rows[0]?.versionId;
  if (versionId) await removeIncompleteVersion(client, versionId);
}

/** Removes the units, artifacts and references that a sync has staged, its batches and its discoveries. */
export async function removeStaging(client: PoolClient, syncId: string): Promise<void> {
  await client.query('delete from sync_discoveries where sync_id = $1', [syncId]);
  await client.query('delete from sync_batches where sync_id = $1', [syncId]);
}

/** Removes a version that was begun and is not complete; what it added and removed is undone. */
export async function removeIncompleteVersion(client: PoolClient, versionId: string): Promise<void> {
  await client.query(
    `update repository_contents content set version_removed = null
       from repository_versions version
      where version.id = $1 and not version.complete
        and content.repository_id = version.repository_id and content.version_removed = version.number`,
    [versionId],
  );
  // The associations that it added go with it: their foreign key cascades.
  await client.query('delete from repository_versions where id = $1 and not complete', [versionId]);
}
