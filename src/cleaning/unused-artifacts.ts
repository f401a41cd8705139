import type { Pool, PoolClient } from 'pg';

import { inLanes } from '../lanes';
import { excludeUse } from '../models/use-lock';
import { artifactKey } from '../storage/storage';
import type { ListedFile } from '../storage/storage';
import { noteCursor, noteFreed, syncIsOver } from './cleaning';
import type { CleaningStep } from './cleaning';
import { findUnused } from './unused-contents';
import { removeArtifactFiles, sumUp } from './unused-files';

/** Each page looks through all that is staged, so they are large. */
const pageSize = 5000;

/** Files that are looked at at once. */
const lookedAtOnce = 32;

interface ArtifactRow {
  readonly id: string;
  readonly sha256: string;
  readonly holders: readonly string[];
}

/**
 * Removes artifacts that no content has and no sync has staged: first the rows, and once that is committed the files. A crash
 * between leaves files without rows, which a sync may still take, or the last phase removes; never a row without its file.
 */
export const removeUnusedArtifacts: CleaningStep = async (cleaning, cursor) => {
  const { pool, storage, attempt, before, dryRun } = cleaning;
  const { rows: page } = await pool.query<ArtifactRow>(heldByNoVersion, [before, cursor]);
  const last = page.at(-1)?.id;
  if (last === undefined) return undefined;
  const found = await findUnusedArtifacts(pool, before, page);
  if (dryRun || found.length === 0) {
    const files: (ListedFile | undefined)[] = [];
    await inLanes(found, lookedAtOnce, async ({ sha256 }) => {
      files.push(await storage.find(artifactKey(sha256)));
    });
    await attempt.transaction(async (client) => {
      await noteFreed(client, cleaning, { artifacts: found.length, ...sumUp(files, before) });
      await noteCursor(client, cleaning, last);
    });
    return last;
  }
  const removed = await attempt.transaction(async (client) => {
    const unstaged = await notStaged(client, before, found);
    const gone = await removeArtifactRows(client, unstaged);
    await noteFreed(client, cleaning, { artifacts: gone.length });
    await noteCursor(client, cleaning, last);
    return gone;
  }, excludeUse);
  await removeArtifactFiles(cleaning, removed);
  return last;
};

/** Those whose contents, if there are any, nobody uses. */
const heldByNoVersion = `
  select artifact.id, artifact.sha256,
         array(select file.content_id from content_artifacts file where file.artifact_id = artifact.id) as holders
    from artifacts artifact
   where artifact.id > $2 and artifact.created_at < $1
     and not exists (
       select from content_artifacts file join repository_contents held on held.content_id = file.content_id
        where file.artifact_id = artifact.id)
   order by artifact.id limit ${pageSize}`;

/** A dry run has removed no contents: it passes over those that would be gone. */
async function findUnusedArtifacts(pool: Pool, before: Date, page: readonly ArtifactRow[]): Promise<ArtifactRow[]> {
  const holders = [...new Set(page.flatMap((artifact) => artifact.holders))];
  const unused = new Set(holders.length > 0 ? await findUnused(pool, before, holders) : []);
  const free = page.filter((artifact) => artifact.holders.every((id) => unused.has(id)));
  return notStaged(pool, before, free);
}

/** Of these artifacts, those that no sync has staged which is under way, or may go on. */
export async function notStaged<Row extends Pick<ArtifactRow, 'id' | 'sha256'>>(
  client: Pick<Pool | PoolClient, 'query'>,
  before: Date,
  artifacts: readonly Row[],
): Promise<Row[]> {
  if (artifacts.length === 0) return [];
  const { rows } = await client.query<{ id: string | null; stored: string | null; declared: string | null }>(
    stagedAmong,
    [before, artifacts.map(({ id }) => id), artifacts.map(({ sha256 }) => sha256)],
  );
  const inUse = new Set(rows.flatMap(({ id, stored, declared }) => [id, stored, declared]));
  return artifacts.filter(({ id, sha256 }) => !inUse.has(id) && !inUse.has(sha256));
}

/** One that is only declared is about to be found, or was downloaded a moment ago. */
const stagedAmong = `
  select staged.artifact_id as id, staged.stored_sha256 as stored, staged.sha256 as declared
    from staged_artifacts staged
    join sync_batches batch on batch.id = staged.batch_id
    join syncs sync on sync.id = batch.sync_id
   where (staged.artifact_id = any($2::bigint[]) or staged.stored_sha256 = any($3::text[]) or staged.sha256 = any($3::text[]))
     and not ${syncIsOver}`;

/** Removes the rows of those that no content has; gives the digests of their files, which are to follow. */
export async function removeArtifactRows(
  client: PoolClient,
  artifacts: readonly Pick<ArtifactRow, 'id'>[],
): Promise<string[]> {
  const { rows } = await client.query<{ sha256: string }>(removeArtifacts, [artifacts.map(({ id }) => id)]);
  return rows.map(({ sha256 }) => sha256);
}

const removeArtifacts = `
  delete from artifacts artifact
   where artifact.id = any($1::bigint[])
     and not exists (select from content_artifacts file where file.artifact_id = artifact.id)
  returning artifact.sha256`;
