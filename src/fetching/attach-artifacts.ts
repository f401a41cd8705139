import type { Pool, PoolClient } from 'pg';

import { digestNames } from '../downloads/digests';
import type { Digests } from '../downloads/digests';
import type { StoredFile } from '../downloads/download-artifact';
import { inTransaction } from '../models/database';
import { takeIntoUse } from '../models/use-lock';
import { findLost } from '../staging/lost-artifacts';
import type { Storage } from '../storage/storage';

/** A file that was fetched after its content had been saved. It lies in the storage, and was flushed. */
export interface FetchedFile extends StoredFile {
  readonly contentArtifactId: string;
  /** All that are known of it, found right. */
  readonly digests: Digests;
}

/**
 * Gives content artifacts that are deferred the files that were fetched for them; an artifact that another one has attached
 * meanwhile stays. Any number of processes may do it at once.
 */
export async function attachArtifacts(pool: Pool, storage: Storage, files: readonly FetchedFile[]): Promise<void> {
  if (files.length > 0) await inTransaction(pool, (client) => attachFetched(client, storage, files), takeIntoUse);
}

/**
 * The same within a transaction whose first lock is {@link takeIntoUse}.
 *
 * @returns those whose files are there: one that no row names yet may have been cleaned away; from now on it is not.
 */
export async function attachFetched(
  client: PoolClient,
  storage: Storage,
  files: readonly FetchedFile[],
): Promise<readonly FetchedFile[]> {
  const lost = new Set(await findLost(storage, files));
  const there = files.filter(({ sha256 }) => !lost.has(sha256));
  const columns = digestNames.map((name) =>
    there.map((file) => (name === 'sha256' ? file.sha256 : (file.digests[name] ?? null))),
  );
  await client.query(insertArtifacts, [there.map(({ size }) => size), ...columns]);
  await client.query(attach, [
    there.map(({ contentArtifactId }) => contentArtifactId),
    there.map(({ sha256 }) => sha256),
  ]);
  return there;
}

const others = digestNames.filter((name) => name !== 'sha256');

/** In the order of the digests, as stages save artifacts: nobody waits for another one in a circle. */
const insertArtifacts = `
  insert into artifacts (size, sha256, ${others.join(', ')})
  select max(size), sha256, ${others.map((name) => `max(${name})`).join(', ')}
    from unnest($1::bigint[], ${digestNames.map((_, index) => `$${index + 2}::text[]`).join(', ')})
         as file (size, ${digestNames.join(', ')})
   group by sha256
   order by sha256
  on conflict (sha256) do update
     set ${others.map((name) => `${name} = coalesce(artifacts.${name}, excluded.${name})`).join(', ')}
   where ${others.map((name) => `(artifacts.${name} is null and excluded.${name} is not null)`).join(' or ')}`;

const attach = `
  with fetched as (
    select attached.id, artifact.id as artifact_id
      from unnest($1::bigint[], $2::text[]) as file (content_artifact_id, sha256)
      join artifacts artifact on artifact.sha256 = file.sha256
      join content_artifacts attached on attached.id = file.content_artifact_id
     where attached.artifact_id is null
     order by attached.id
       for no key update of attached
  )
  update content_artifacts attached set artifact_id = fetched.artifact_id
    from fetched where attached.id = fetched.id`;
