import type { Queryable } from '../models/database';

/** A file at an alternate content source. */
export interface AlternateFile {
  readonly alternateId: string;
  readonly alternateName: string;
  readonly remoteId: string;
  readonly remoteName: string;
  /** Another one once the remote was changed. */
  readonly remoteRevision: string;
  /** Requests at once that its remote allows. */
  readonly downloadConcurrency: number;
  /** Tried in this order. */
  readonly urls: readonly string[];
  /** Bytes. */
  readonly size: number | null;
}

/** A file as its own source declares it. */
export interface DeclaredFile {
  readonly sha256: string | null;
  /** Bytes. */
  readonly size: number | null;
}

/** Where else files can be had. A digest names its bytes, whatever the type of the remote: sha256 counts, and no other. */
export class AlternateFiles {
  private constructor(private readonly bySha256: ReadonlyMap<string, readonly AlternateFile[]>) {}

  /** Looks files up at all alternate content sources, but for those that are left alone at the moment. */
  static async find(client: Queryable, files: Iterable<Pick<DeclaredFile, 'sha256'>>): Promise<AlternateFiles> {
    const digests = new Set<string>();
    for (const { sha256 } of files) if (sha256 !== null) digests.add(sha256);
    const found = new Map<string, AlternateFile[]>();
    if (digests.size === 0) return new AlternateFiles(found);
    const { rows } = await client.query<AlternateFile & { readonly sha256: string }>(alternatesOf, [[...digests]]);
    for (const { sha256, ...file } of rows) found.set(sha256, [...(found.get(sha256) ?? []), file]);
    return new AlternateFiles(found);
  }

  /**
   * The alternates of a file, in the order of their names. One that promises another size is wrong, or the original is; and one
   * whose remote is asked anyway is no alternate.
   */
  of({ sha256, size }: DeclaredFile, remoteIds: readonly string[]): readonly AlternateFile[] {
    const files = sha256 === null ? undefined : this.bySha256.get(sha256);
    return (files ?? []).filter(
      (file) => !remoteIds.includes(file.remoteId) && (size === null || file.size === null || size === file.size),
    );
  }

  /** The most requests at once that one of the remotes allows; 0 where there are none. */
  get downloadConcurrency(): number {
    let most = 0;
    for (const files of this.bySha256.values())
      for (const { downloadConcurrency } of files) most = Math.max(most, downloadConcurrency);
    return most;
  }
}

/** Nothing is read of a table that is empty, and otherwise one entry of the index for each digest. */
const alternatesOf = `
  select artifact.sha256, source.id as "alternateId", source.name as "alternateName", source.remote_id as "remoteId",
         remote.name as "remoteName", remote.updated_at::text as "remoteRevision",
         remote.download_concurrency as "downloadConcurrency",
         artifact.urls, artifact.size::float8 as size
    from alternate_artifacts artifact
    join alternate_content_sources source on source.refresh_id = artifact.refresh_id
    join remotes remote on remote.id = source.remote_id
   where artifact.sha256 = any($1::text[]) and (source.failed_until is null or source.failed_until <= now())
   order by artifact.sha256, source.name`;
