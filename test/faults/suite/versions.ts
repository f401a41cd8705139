import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Pool } from 'pg';

import { artifactKey } from '../../../src/storage/storage';
import { sha256 } from './upstream';
import type { Files } from './upstream';

/** What a reader of the newest complete version sees. */
export interface NewestVersion {
  readonly number: number;
  /** Digests by path. */
  readonly digests: ReadonlyMap<string, string>;
  /** Paths of files that are stored. */
  readonly stored: ReadonlySet<string>;
}

/** Reads the newest complete version of a repository in one statement. */
export async function readNewest(pool: Pick<Pool, 'query'>, repository: string): Promise<NewestVersion> {
  const { rows } = await pool.query<{ number: number; path: string | null; digest: string; stored: boolean }>(
    `select version.number, file.relative_path as path, file.digest, attached.artifact_id is not null as stored
       from repositories repository
       join lateral (
         select number from repository_versions
          where repository_id = repository.id and complete order by number desc limit 1) version on true
       left join repository_contents held
         on held.repository_id = repository.id and held.version_added <= version.number
        and (held.version_removed is null or held.version_removed > version.number)
       left join file_contents file on file.content_id = held.content_id
       left join content_artifacts attached on attached.content_id = held.content_id
      where repository.name = $1`,
    [repository],
  );
  const files = rows.flatMap(({ path, ...row }) => (path === null ? [] : [{ path, ...row }]));
  const digests = new Map(files.map(({ path, digest }) => [path, digest]));
  if (digests.size < files.length) throw new Error(`A version of "${repository}" has a path twice.`);
  const stored = new Set(files.filter((file) => file.stored).map(({ path }) => path));
  return { number: rows[0]?.number ?? -1, digests, stored };
}

/**
 * Compares a version with upstream: the same paths, and the same bytes where files are stored.
 *
 * @param storageDir where all of them are to be stored; absent: only their digests are compared
 */
export async function requireSame(
  { number, digests, stored }: NewestVersion,
  files: Files,
  storageDir: string | undefined,
): Promise<void> {
  const missing = [...files.keys()].filter((path) => !digests.has(path));
  const unwanted = [...digests.keys()].filter((path) => !files.has(path));
  const wrong: string[] = [];
  for (const [path, bytes] of files) {
    const digest = digests.get(path);
    if (digest === undefined) continue;
    const found = storageDir && stored.has(path) ? await readFile(join(storageDir, artifactKey(digest))) : undefined;
    const same = digest === sha256(bytes) && (storageDir === undefined || found?.equals(bytes));
    if (!same) wrong.push(path);
  }
  const differences = { missing, unwanted, wrong };
  for (const [how, paths] of Object.entries(differences)) {
    if (paths.length === 0) continue;
    throw new Error(`Version ${number}: ${paths.length} of ${files.size} files are ${how}, as ${paths[0] ?? ''}`);
  }
}

/** A fingerprint of each table: rows that nobody has written are the same. */
export async function fingerprint(pool: Pick<Pool, 'query'>): Promise<Record<string, string>> {
  const tables = await pool.query<{ name: string }>(
    `select quote_ident(tablename) as name from pg_tables where schemaname = 'public' order by tablename`,
  );
  const found: Record<string, string> = {};
  for (const { name } of tables.rows) {
    const { rows } = await pool.query<{ rows: string }>(
      `select count(*) || ' ' || coalesce(md5(string_agg(whole::text, '|' order by whole::text)), '') as rows from ${name} whole`,
    );
    found[name] = rows[0]?.rows ?? '';
  }
  return found;
}
