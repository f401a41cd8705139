import type { Queryable } from '../models/database';
import type { Policy } from '../models/repository-models';
import { digestNames } from '../downloads/digests';
import type { DigestName } from '../downloads/digests';

/** Where a file can be fetched: a remote artifact, with what it promises. */
export interface FileSource extends Readonly<Record<DigestName, string | null>> {
  readonly id: string;
  readonly contentArtifactId: string;
  readonly remoteId: string;
  readonly remoteName: string;
  /** Of the remote, now. */
  readonly policy: Policy;
  /** Tried in this order. */
  readonly urls: readonly string[];
  /** Bytes. */
  readonly size: number | null;
  /** The content app leaves it alone until then. */
  readonly failedUntil: Date | null;
}

/** All sources of files, by their content artifacts; those of one in the order in which they were first recorded. */
export async function findSources(
  client: Queryable,
  contentArtifactIds: readonly string[],
): Promise<ReadonlyMap<string, readonly FileSource[]>> {
  const { rows } = await client.query<FileSource>(sourcesOf, [contentArtifactIds]);
  const sources = new Map<string, FileSource[]>();
  for (const row of rows) sources.set(row.contentArtifactId, [...(sources.get(row.contentArtifactId) ?? []), row]);
  return sources;
}

const sourcesOf = `
  select source.id, source.content_artifact_id as "contentArtifactId", source.remote_id as "remoteId",
         remote.name as "remoteName", remote.policy, source.urls, source.size::float8 as size,
         source.failed_until as "failedUntil", ${digestNames.map((name) => `source.${name}`).join(', ')}
    from remote_artifacts source join remotes remote on remote.id = source.remote_id
   where source.content_artifact_id = any($1::bigint[])
   order by source.id`;
