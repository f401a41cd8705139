import { createHash, randomBytes } from 'node:crypto';

import type { Pool } from 'pg';

import type { FileStorage } from '../src/storage/file-storage';
import { artifactKey } from '../src/storage/storage';

/** Stores files of random bytes. @returns their digests */
export async function storeFiles(storage: FileStorage, count: number, bytes: number): Promise<string[]> {
  const digests: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const body = randomBytes(bytes);
    const sha256 = createHash('sha256').update(body).digest('hex');
    const writer = storage.create();
    await writer.write(body);
    await writer.commit(artifactKey(sha256));
    digests.push(sha256);
  }
  return digests;
}

/** A repository with one version and a distribution of the same name; its files are `d000/f0000000` and so on, and share the stored ones. */
export async function addRepository(
  pool: Pool,
  name: string,
  count: number,
  stored: { readonly digests: readonly string[]; readonly bytes: number },
): Promise<void> {
  await pool.query(
    `insert into artifacts (sha256, size) select sha256, $2 from unnest($1::text[]) sha256 on conflict do nothing`,
    [stored.digests, stored.bytes],
  );
  await pool.query(
    `with repository as (insert into repositories (name, type, next_version) values ($1, 'file', 2) returning id
     ), distribution as (
       insert into distributions (name, base_path, repository_id) select $1, $1, id from repository
     ), version as (
       insert into repository_versions (repository_id, number, complete, completed_at)
       select id, 1, true, now() from repository returning id
     )
     insert into repository_version_counts (version_id, type, added, removed, present)
     select id, 'file.file', $2::integer, 0, $2::integer from version`,
    [name, count],
  );
  // A million rows are not checked one by one for what they refer to: it is here.
  await pool.query(dropForeignKeys);
  await pool.query(
    `with file as materialized (
       select nextval('content_ids') as content_id, number,
              'd' || lpad((number / 1000)::text, 3, '0') || '/f' || lpad(number::text, 7, '0') as path
         from generate_series(0, $2::integer - 1) number
     ), artifact as materialized (
       select id, row_number() over (order by id) - 1 as place
         from artifacts where sha256 = any($3::text[])
     ), content as (
       insert into contents (id, type) select content_id, 'file.file' from file
     ), attached as (
       insert into content_artifacts (content_id, artifact_id, relative_path)
       select file.content_id, artifact.id, file.path
         from file join artifact on artifact.place = file.number % cardinality($3::text[])
     )
     insert into repository_contents (repository_id, content_id, version_added)
     select repository.id, file.content_id, 1 from file, repositories repository where name = $1`,
    [name, count, stored.digests],
  );
}

const dropForeignKeys = `
  do $$
  declare name text; owner regclass;
  begin
    for name, owner in select conname, conrelid::regclass from pg_constraint
      where contype = 'f' and conrelid in ('content_artifacts'::regclass, 'repository_contents'::regclass)
    loop
      execute format('alter table %s drop constraint %I', owner, name);
    end loop;
  end $$`;
