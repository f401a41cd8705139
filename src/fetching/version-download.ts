import type { Pool, PoolClient } from 'pg';

import type { Queryable } from '../models/database';
import { toJsonb } from '../models/jsonb';
import { VersionNotFound } from '../repositories/errors';
import { patternOf } from './path-patterns';

/** How far the download of a version's deferred files is. */
export interface DownloadProgress {
  readonly downloadId: string;
  readonly repository: string;
  readonly version: number;
  /** Whether all files were looked at. */
  readonly over: boolean;
  /** Files that were deferred when it began, and their bytes, as far as sizes are known. */
  readonly total: number;
  readonly totalBytes: number;
  /** Files that it has given their contents. */
  readonly fetched: number;
  readonly fetchedBytes: number;
  /** Files that could not be had. */
  readonly failed: number;
}

/** A download at work. */
export interface DownloadRow extends Omit<DownloadProgress, 'over'>, DownloadScope {
  readonly cursor: string;
}

/** What a download fetches. */
export interface DownloadScope {
  readonly repositoryId: string;
  readonly version: number;
  /** Globs; empty: everything. */
  readonly filters: readonly string[];
}

/** A file of a version that is not stored. */
export interface DeferredFile {
  /** Of the content artifact. */
  readonly id: string;
  readonly contentId: string;
}

export async function readDownload(pool: Pick<Pool, 'query'>, id: string): Promise<DownloadRow> {
  const { rows } = await pool.query<DownloadRow>(
    `select download.id as "downloadId", repository.name as repository, download.repository_id as "repositoryId",
            download.version, download.filters, download.cursor, download.total::float8 as total,
            download.total_bytes::float8 as "totalBytes", download.fetched::float8 as fetched,
            download.fetched_bytes::float8 as "fetchedBytes",
            (select count(*)::float8 from download_failures where download_id = download.id) as failed
       from downloads download join repositories repository on repository.id = download.repository_id
      where download.id = $1`,
    [id],
  );
  if (!rows[0]) throw new Error(`There is no download ${id}.`);
  return rows[0];
}

/** Files of a version that are not stored, and that a filter matches. */
const deferredFiles = `
       from repository_contents held
       join content_artifacts file on file.content_id = held.content_id
      where held.repository_id = $1 and held.version_added <= $2
        and (held.version_removed is null or held.version_removed > $2)
        and file.artifact_id is null and (cardinality($3::text[]) = 0 or file.relative_path ~ any($3))`;

function valuesOf({ repositoryId, version, filters }: DownloadScope): readonly unknown[] {
  return [repositoryId, version, filters.map(patternOf)];
}

/** What there is to fetch; `lacking`: bytes of files of which no stored artifact is known. */
export async function countDeferred(
  client: Queryable,
  scope: DownloadScope,
): Promise<{ readonly files: number; readonly bytes: number; readonly lacking: number }> {
  const { rows } = await client.query<{ files: number; bytes: number; lacking: number }>(
    `with deferred as materialized (
       select file.id, promise.sha256, coalesce(promise.size, 0) as size
         from (select file.id ${deferredFiles}) file
         left join lateral (
           select max(source.sha256) as sha256, max(source.size) as size
             from remote_artifacts source where source.content_artifact_id = file.id) promise on true
     ), lacking as (
       select distinct on (coalesce(sha256, id::text)) size
         from deferred where not exists (select from artifacts where artifacts.sha256 = deferred.sha256)
        order by coalesce(sha256, id::text)
     )
     select count(*)::float8 as files, coalesce(sum(size), 0)::float8 as bytes,
            (select coalesce(sum(size), 0)::float8 from lacking) as lacking
       from deferred`,
    [...valuesOf(scope)],
  );
  return rows[0] ?? { files: 0, bytes: 0, lacking: 0 };
}

/** Files that are fetched before that is noted, at most. */
const pageSize = 1000;

/**
 * The next files to fetch, along the contents of the version; those that could not be had are not among them.
 *
 * @throws {@link VersionNotFound} where the version was deleted meanwhile: what it held is a later one's now.
 */
export async function nextDeferred(pool: Pool, download: DownloadRow): Promise<DeferredFile[]> {
  const { rows } = await pool.query<DeferredFile>(
    `select file.id, file.content_id as "contentId" ${deferredFiles}
        and held.content_id >= $4
        and not exists (
          select from download_failures failure where failure.download_id = $5 and failure.content_artifact_id = file.id)
      order by held.content_id, file.id limit ${pageSize}`,
    [...valuesOf(download), download.cursor, download.downloadId],
  );
  await requireVersion(pool, download);
  return rows;
}

/** A version that is there was there before, too, as no number is taken again. */
async function requireVersion(pool: Pool, { repository, repositoryId, version }: DownloadRow): Promise<void> {
  const { rows } = await pool.query(
    'select from repository_versions where repository_id = $1 and number = $2 and complete',
    [repositoryId, version],
  );
  if (rows.length === 0) throw new VersionNotFound(repository, version, ' any more, whose files were being fetched');
}

/** Adds to what is fetched. */
export async function noteFetched(
  client: PoolClient,
  id: string,
  files: readonly { readonly size: number }[],
): Promise<void> {
  await client.query('update downloads set fetched = fetched + $2, fetched_bytes = fetched_bytes + $3 where id = $1', [
    id,
    files.length,
    files.reduce((sum, { size }) => sum + size, 0),
  ]);
}

/** Notes where a later attempt goes on. */
export async function noteCursor(client: PoolClient, id: string, contentId: string): Promise<void> {
  await client.query('update downloads set cursor = $2 where id = $1', [id, contentId]);
}

/** A file that could not be had. */
export interface Unfetched {
  readonly contentArtifactId: string;
  readonly urls: readonly string[];
  readonly reason: string;
}

/** Urls that are kept of a file that could not be had. */
const mostUrls = 100;

/** Notes what could not be had; one whose content was removed meanwhile is nobody's loss. */
export async function noteUnfetched(client: PoolClient, id: string, files: readonly Unfetched[]): Promise<void> {
  if (files.length === 0) return;
  await client.query(
    `insert into download_failures (download_id, content_artifact_id, urls, reason)
     select $1, file.id, failed.urls, failed.reason
       from jsonb_to_recordset($2::jsonb) as failed ("contentArtifactId" bigint, urls text[], reason text)
       join content_artifacts file on file.id = failed."contentArtifactId"
      order by file.id
     on conflict (download_id, content_artifact_id) do update set urls = excluded.urls, reason = excluded.reason`,
    [id, toJsonb(files.map((file) => ({ ...file, urls: file.urls.slice(0, mostUrls) })))],
  );
}
