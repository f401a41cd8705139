import type { PoolClient } from 'pg';

/** A version as the statements that write it need it. */
export interface VersionKey {
  readonly repositoryId: string;
  readonly versionId: string;
  readonly number: number;
}

/**
 * Counts what a version has added and removed, against the version before it, and what it holds, for each content type.
 *
 * @returns how many contents of all types it has added and removed.
 */
export async function countContents(
  client: PoolClient,
  { repositoryId, versionId, number }: VersionKey,
): Promise<{ readonly added: number; readonly removed: number }> {
  await client.query('delete from repository_version_counts where version_id = $1', [versionId]);
  await client.query(
    `insert into repository_version_counts (version_id, type, added, removed, present)
     select $1, content.type,
            count(*) filter (where held.version_added = $3),
            count(*) filter (where held.version_removed = $3),
            count(*) filter (where held.version_removed is null or held.version_removed > $3)
       from repository_contents held join contents content on content.id = held.content_id
      where held.repository_id = $2 and held.version_added <= $3
        and (held.version_removed is null or held.version_removed >= $3)
      group by content.type`,
    [versionId, repositoryId, number],
  );
  const { rows } = await client.query<{ added: number; removed: number }>(
    `select coalesce(sum(added), 0)::int as added, coalesce(sum(removed), 0)::int as removed
       from repository_version_counts where version_id = $1`,
    [versionId],
  );
  return rows[0] ?? { added: 0, removed: 0 };
}
