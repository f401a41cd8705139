import { log } from '@temporalio/activity';

import { downloadArtifact } from '../src/downloads/download-artifact';
import type { DownloadContext, StoredFile, WantedArtifact } from '../src/downloads/download-artifact';
import type { PoolMember } from '../src/downloads/download-pool';
import { OriginPauses } from '../src/downloads/origin-pauses';
import { PenstockError, asError } from '../src/errors';
import { AlternateFiles } from '../src/fetching/alternate-files';
import type { AlternateFile, DeclaredFile } from '../src/fetching/alternate-files';
import { COOL_DOWN, leaveAlone } from '../src/fetching/find-sources';
import { SourceRemotes } from '../src/fetching/source-remotes';
import { StorageError } from '../src/storage/storage-error';
import type { ActivityDependencies } from './dependencies';

/** Files in a row that an alternate content source has failed at: then it is left alone. */
const mostFailures = 5;

/** An alternate content source has failed so often that it is not asked any more. */
class LeftAlone extends PenstockError {}

/**
 * Fetches files from alternate content sources before their own remote is asked. That is only ever an attempt, one for each url:
 * what goes wrong is logged, and costs little. A file holds a slot of the remote that it is asked of, whose limits hold for all
 * syncs of a process together.
 */
export class AlternateDownloads {
  private readonly remotes: SourceRemotes;
  /** By alternate: how many files in a row it has failed at. */
  private readonly failures = new Map<string, number>();
  private readonly leftAlone = new Set<string>();
  /** By sha256: a file that is wanted twice is asked for once. */
  private readonly asked = new Map<string, Promise<StoredFile | undefined>>();

  private constructor(
    private readonly dependencies: ActivityDependencies,
    private readonly files: AlternateFiles,
  ) {
    this.remotes = new SourceRemotes(dependencies, 'alternates of syncs');
  }

  /** Opens what may have these files, for the time of some work. */
  static async with<T>(
    dependencies: ActivityDependencies,
    files: readonly Pick<DeclaredFile, 'sha256'>[],
    work: (alternates: AlternateDownloads) => Promise<T>,
  ): Promise<T> {
    const alternates = new AlternateDownloads(
      dependencies,
      await AlternateFiles.find(dependencies.database.pool, files),
    );
    try {
      return await work(alternates);
    } finally {
      await alternates.remotes.close();
    }
  }

  /** Requests at once that make sense; 0 where no file can be had. */
  get downloadConcurrency(): number {
    return this.files.downloadConcurrency;
  }

  /**
   * A file that an alternate has given, and that lies in the storage; `undefined` where none has.
   *
   * @param remoteId - the file's own remote, which is asked afterwards
   * @throws {@link StorageError}, the signal's reason
   */
  async download(wanted: WantedArtifact, remoteId: string, context: DownloadContext): Promise<StoredFile | undefined> {
    const { digests, size = null } = wanted;
    const { sha256 = null } = digests;
    const files = this.files.of({ sha256, size }, [remoteId]);
    if (sha256 === null || files.length === 0) return undefined;
    const asked = this.asked.get(sha256);
    if (asked) {
      // Where it is there now, the original's download finds it, and compares it with all that is known of this one.
      await asked;
      return undefined;
    }
    const asking = this.ask(files, wanted, context);
    this.asked.set(sha256, asking);
    return asking;
  }

  private async ask(
    files: readonly AlternateFile[],
    wanted: WantedArtifact,
    context: DownloadContext,
  ): Promise<StoredFile | undefined> {
    for (const file of files) {
      if (this.leftAlone.has(file.alternateId)) continue;
      try {
        const { connection, client, pool } = await this.remotes.open(file.remoteId);
        const downloaded = await downloadArtifact(
          { ...wanted, urls: file.urls, size: wanted.size ?? file.size ?? undefined },
          {
            ...context,
            ...{ client, maxRetries: 0, pool: this.slotsOf(file, pool) },
            observer: this.dependencies.metrics.downloadsOf(connection.url),
          },
        );
        this.failures.delete(file.alternateId);
        return downloaded;
      } catch (error) {
        if (context.signal?.aborted || !(error instanceof PenstockError) || error instanceof StorageError) throw error;
        if (!(error instanceof LeftAlone)) await this.noteFailure(file, error);
      }
    }
    return undefined;
  }

  /** Slots of the alternate's remote. A host that wants to be left alone is not waited for: the original is there. */
  private slotsOf({ alternateId, alternateName }: AlternateFile, pool: PoolMember): DownloadContext['pool'] {
    return {
      pauses: new OriginPauses(() => Infinity),
      acquire: async (signal) => {
        const slot = await pool.acquire(signal);
        if (!this.leftAlone.has(alternateId)) return slot;
        slot.release();
        throw new LeftAlone(`Alternate content source "${alternateName}" is left alone.`);
      },
    };
  }

  private async noteFailure({ alternateId, alternateName }: AlternateFile, error: PenstockError): Promise<void> {
    const failures = (this.failures.get(alternateId) ?? 0) + 1;
    this.failures.set(alternateId, failures);
    log.info('an alternate content source could not give a file', { alternate: alternateName, error: error.message });
    if (failures < mostFailures || this.leftAlone.has(alternateId)) return;
    this.leftAlone.add(alternateId);
    log.warn('an alternate content source fails, and is left alone', { alternate: alternateName, seconds: COOL_DOWN });
    try {
      await leaveAlone(this.dependencies.database.pool, { kind: 'alternate', id: alternateId });
    } catch (thrown) {
      log.warn('that an alternate content source fails is not written down', { error: asError(thrown) });
    }
  }
}
