import type { Queryable } from '../models/database';
import type { Policy } from '../models/repository-models';
import { digestNames } from '../downloads/digests';
import type { DigestName } from '../downloads/digests';
import { AlternateFiles } from './alternate-files';
import type { AlternateFile } from './alternate-files';

/** What knows of a source: a remote artifact, or an alternate content source. */
export type SourceOrigin =
  | { readonly kind: 'remoteArtifact'; readonly id: string }
  | { readonly kind: 'alternate'; readonly id: string; readonly name: string };

/** Where a file can be fetched, with what it promises. */
export interface FileSource extends Readonly<Record<DigestName, string | null>> {
  readonly origin: SourceOrigin;
  readonly contentArtifactId: string;
  readonly remoteId: string;
  readonly remoteName: string;
  /** Another one once the remote was changed. */
  readonly remoteRevision: string;
  /** Of the remote that the file was synced from, now. */
  readonly policy: Policy;
  /** Tried in this order. */
  readonly urls: readonly string[];
  /** Bytes. */
  readonly size: number | null;
  /** The content app leaves it alone until then. */
  readonly failedUntil: Date | null;
}

/**
 * All sources of files, by their content artifacts: alternate content sources first, then the remote artifacts in the order in
 * which they were first recorded.
 */
export async function findSources(
  client: Queryable,
  contentArtifactIds: readonly string[],
): Promise<ReadonlyMap<string, readonly FileSource[]>> {
  const { rows } = await client.query<FileSource & { readonly id: string }>(sourcesOf, [contentArtifactIds]);
  const sources = new Map<string, FileSource[]>();
  for (const { id, ...row } of rows) {
    const source: FileSource = { ...row, origin: { kind: 'remoteArtifact', id } };
    sources.set(row.contentArtifactId, [...(sources.get(row.contentArtifactId) ?? []), source]);
  }
  const alternates = await AlternateFiles.find(client, rows);
  for (const [id, originals] of sources) sources.set(id, [...alternatesOf(originals, alternates), ...originals]);
  return sources;
}

/** Of a file whose sources do not agree in its digest, only what the first one promises is looked for elsewhere. */
function alternatesOf(originals: readonly FileSource[], alternates: AlternateFiles): FileSource[] {
  const original = originals.find(({ sha256 }) => sha256 !== null);
  if (!original) return [];
  const remoteIds = originals.map(({ remoteId }) => remoteId);
  return alternates.of(original, remoteIds).map((file) => asSource(file, original));
}

/** What it promises, and whether it is stored, is as for the original. */
function asSource(file: AlternateFile, original: FileSource): FileSource {
  const { alternateId: id, alternateName: name, remoteId, remoteName, remoteRevision, urls } = file;
  return {
    ...original,
    origin: { kind: 'alternate', id, name },
    remoteId,
    remoteName,
    remoteRevision,
    urls,
    size: original.size ?? file.size,
    failedUntil: null,
  };
}

/** Seconds for which a source is left alone that could not give a file. */
export const COOL_DOWN = 300;

/** Leaves a source alone for the cool-down: this one file at a remote, or all that an alternate content source has. */
export async function leaveAlone(client: Queryable, origin: SourceReference): Promise<void> {
  await client.query(`update ${tableOf(origin)} set failed_until = now() + make_interval(secs => $2) where id = $1`, [
    origin.id,
    COOL_DOWN,
  ]);
}

/** Takes back that a source is left alone. */
export async function forgive(client: Queryable, origin: SourceReference): Promise<void> {
  await client.query(`update ${tableOf(origin)} set failed_until = null where id = $1`, [origin.id]);
}

type SourceReference = Pick<SourceOrigin, 'kind' | 'id'>;

function tableOf({ kind }: SourceReference): string {
  return kind === 'alternate' ? 'alternate_content_sources' : 'remote_artifacts';
}

const sourcesOf = `
  select source.id, source.content_artifact_id as "contentArtifactId", source.remote_id as "remoteId",
         remote.name as "remoteName", remote.updated_at::text as "remoteRevision", remote.policy, source.urls, source.size::float8 as size,
         source.failed_until as "failedUntil", ${digestNames.map((name) => `source.${name}`).join(', ')}
    from remote_artifacts source join remotes remote on remote.id = source.remote_id
   where source.content_artifact_id = any($1::bigint[])
   order by source.id`;
