import type { Pool, PoolClient } from 'pg';

import { noteCursor, noteFreed } from '../cleaning/cleaning';
import { notStaged, removeArtifactRows } from '../cleaning/unused-artifacts';
import { findStaged } from '../cleaning/unused-contents';
import { removeArtifactFiles, sumUp } from '../cleaning/unused-files';
import { digestNames, isWeakDigest } from '../downloads/digests';
import { excludeUse } from '../models/use-lock';
import { VersionNotFound } from '../repositories/errors';
import { artifactKey } from '../storage/storage';
import { anyAge } from './reclaim';
import type { Reclaim } from './reclaim';

/** Artifacts that are reclaimed in one transaction. Syncs wait meanwhile: some tens of milliseconds. */
const pageSize = 1000;

interface ArtifactRow {
  readonly id: string;
  readonly sha256: string;
  /** The contents that have it; one for each file. */
  readonly holders: readonly string[];
}

/**
 * Turns the next stored artifacts of a repository that can be fetched again into deferred files: first the rows, and once
 * that is committed the files. Who reads one of them goes on reading. Gives whether there was anything left.
 *
 * An artifact is reclaimed as a whole or not at all, as otherwise nothing would be freed: all contents that have it have to be
 * held by versions of this repository alone, none of them one that is to be kept, and each has to have a remote that has promised
 * the file by a strong digest, and none that has promised another one. A file that nobody has promised so may be another one
 * upstream by now.
 */
export async function reclaimPage(reclaim: Reclaim): Promise<boolean> {
  const { pool, storage, attempt, row } = reclaim;
  if (row.pending.length > 0) return removePending(reclaim);
  const page = await findReclaimable(pool, reclaim, row.cursor);
  const last = page.at(-1)?.id;
  if (last === undefined) return false;
  if (row.dryRun) {
    const found = await withoutStaged(pool, page);
    const files = await Promise.all(found.map(({ sha256 }) => storage.find(artifactKey(sha256))));
    await attempt.transaction(async (client) => {
      await noteFreed(client, reclaim, { ...countOf(found), ...sumUp(files, anyAge) });
      await noteCursor(client, reclaim, last);
    });
    return true;
  }
  await attempt.transaction(async (client) => {
    // Looked at again under the lock: from now on nobody takes any of them into use.
    const ids = page.map(({ id }) => id);
    const found = await withoutStaged(client, await findReclaimable(client, reclaim, row.cursor, ids));
    const artifacts = found.map(({ id }) => id);
    await client.query(keepPromises, [artifacts]);
    await client.query('update content_artifacts set artifact_id = null where artifact_id = any($1::bigint[])', [
      artifacts,
    ]);
    const gone = await removeArtifactRows(client, found);
    await client.query('update reclaims set pending = $2 where id = $1', [attempt.id, gone]);
    await noteFreed(client, reclaim, countOf(found));
    await noteCursor(client, reclaim, last);
  }, excludeUse);
  return true;
}

/** Removes the files whose rows the page before has removed. */
async function removePending(reclaim: Reclaim): Promise<true> {
  await removeArtifactFiles(reclaim, reclaim.row.pending);
  await reclaim.attempt.transaction((client) =>
    client.query(`update reclaims set pending = '{}' where id = $1`, [reclaim.attempt.id]),
  );
  return true;
}

function countOf(artifacts: readonly ArtifactRow[]) {
  return { contents: artifacts.reduce((sum, { holders }) => sum + holders.length, 0), artifacts: artifacts.length };
}

/**
 * @param among - only these
 * @throws {@link VersionNotFound} where a version that is to be kept is gone: nobody knows any more what it held.
 */
async function findReclaimable(
  client: Pick<Pool | PoolClient, 'query'>,
  { row: { repository, repositoryId, keepVersions } }: Reclaim,
  cursor: string,
  among: readonly string[] | null = null,
): Promise<ArtifactRow[]> {
  await holdVersions(client, { repository, repositoryId, numbers: keepVersions });
  const { rows } = await client.query<ArtifactRow>(reclaimable, [repositoryId, cursor, keepVersions, among]);
  return rows;
}

/** Lets nobody delete these versions until the end of the transaction. A number is never taken again by another version. */
async function holdVersions(
  client: Pick<Pool | PoolClient, 'query'>,
  versions: { readonly repository: string; readonly repositoryId: string; readonly numbers: readonly number[] },
): Promise<void> {
  const { repository, repositoryId, numbers } = versions;
  if (numbers.length === 0) return;
  const { rows } = await client.query<{ number: number }>(
    `select number from repository_versions
      where repository_id = $1 and number = any($2::integer[]) and complete
      order by number for key share`,
    [repositoryId, numbers],
  );
  const found = new Set(rows.map(({ number }) => number));
  const gone = numbers.find((number) => !found.has(number));
  if (gone !== undefined) throw new VersionNotFound(repository, gone, ' any more, whose files were to be kept');
}

/** What a sync has staged that is under way, or may go on, it takes for stored. */
async function withoutStaged(
  client: Pick<Pool | PoolClient, 'query'>,
  page: readonly ArtifactRow[],
): Promise<ArtifactRow[]> {
  const staged = await findStaged(client, anyAge, [...new Set(page.flatMap(({ holders }) => holders))]);
  const free = page.filter(({ holders }) => !holders.some((id) => staged.has(id)));
  return notStaged(client, anyAge, free);
}

const strongDigests = digestNames.filter((name) => !isWeakDigest(name));

/** Whether a remote artifact has promised what the artifact is. */
const promised = strongDigests.map((name) => `source.${name} = artifact.${name}`).join(' or ');

const kept = ['size', ...digestNames];

/** Whether it has promised another file. Whoever fetches demands what any source has promised, so that one of them is enough. */
const contradicted = kept.map((name) => `source.${name} <> artifact.${name}`).join(' or ');

/** The set: artifacts that the repository holds, and of which no content needs the file here; see {@link reclaimPage}. */
const reclaimable = `
  select artifact.id, artifact.sha256,
         array(select file.content_id from content_artifacts file where file.artifact_id = artifact.id) as holders
    from artifacts artifact
   where artifact.id > $2 and ($4::bigint[] is null or artifact.id = any($4))
     and exists (
       select from content_artifacts file
         join repository_contents held on held.content_id = file.content_id and held.repository_id = $1
        where file.artifact_id = artifact.id)
     and not exists (
       select from content_artifacts file
        where file.artifact_id = artifact.id
          and (not exists (select from remote_artifacts source where source.content_artifact_id = file.id and (${promised}))
               or exists (select from remote_artifacts source where source.content_artifact_id = file.id and (${contradicted}))
               or exists (
                 select from repository_contents held
                  where held.content_id = file.content_id
                    and (held.repository_id <> $1
                         or exists (
                           select from unnest($3::integer[]) kept
                            where held.version_added <= kept and (held.version_removed is null or held.version_removed > kept))))))
   order by artifact.id limit ${pageSize}`;

/** What only the artifact knew is from now on what its sources promise, so that nobody takes other bytes for the same file. */
const keepPromises = `
  update remote_artifacts source
     set ${kept.map((name) => `${name} = coalesce(source.${name}, artifact.${name})`).join(', ')}
    from content_artifacts file join artifacts artifact on artifact.id = file.artifact_id
   where artifact.id = any($1::bigint[]) and source.content_artifact_id = file.id
     and (${kept.map((name) => `(source.${name} is null and artifact.${name} is not null)`).join(' or ')})`;
