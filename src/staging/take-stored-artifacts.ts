import type { PoolClient } from 'pg';

import { digestNames } from '../downloads/digests';
import type { DigestName } from '../downloads/digests';
import type { StoredRow } from './lost-artifacts';

/**
 * Gives the files of a batch the artifacts that are stored already, each by the first of its known digests in the order of
 * {@link digestNames}; sha1 and md5 count only where they are allowed.
 *
 * @returns what the database says is stored of them.
 */
export async function takeStoredArtifacts(
  client: PoolClient,
  batchId: string,
  allowWeakDigests: boolean,
): Promise<StoredRow[]> {
  const { rows } = await client.query<{ name: DigestName }>(firstKnownDigests, [batchId]);
  const names = digestNames.filter((name) => rows.some((row) => row.name === name));
  const trusted = names.filter((name) => allowWeakDigests || (name !== 'sha1' && name !== 'md5'));
  const taken: StoredRow[] = [];
  for (const name of trusted) {
    taken.push(...(await client.query<StoredRow>(takeArtifactsBy(name), [batchId])).rows);
  }
  return taken;
}

const firstKnownDigests = `
  select distinct case ${digestNames.map((name) => `when ${name} is not null then '${name}'`).join(' ')} end as name
    from staged_artifacts where batch_id = $1 and artifact_id is null and stored_sha256 is null`;

function takeArtifactsBy(name: DigestName): string {
  const stronger = digestNames.slice(0, digestNames.indexOf(name));
  return `
    update staged_artifacts staged set artifact_id = artifact.id, attached = false, error = null
      from artifacts artifact
     where staged.batch_id = $1 and staged.artifact_id is null and staged.stored_sha256 is null
       and artifact.${name} = staged.${name}
       and (staged.size is null or staged.size = artifact.size)
       ${stronger.map((each) => `and staged.${each} is null`).join(' ')}
    returning artifact.sha256, artifact.size::float8 as size`;
}
