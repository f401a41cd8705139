import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';

import { untilAborted } from '../downloads/abort';
import { PartsNotServed } from '../downloads/download-error';
import { findSources } from '../fetching/find-sources';
import type { FileSource } from '../fetching/find-sources';
import { LeasedRemotes } from '../fetching/leased-remotes';
import type { SourceDependencies } from '../fetching/source-remotes';
import { rests, trySources } from '../fetching/try-sources';
import type { Settings } from '../settings';
import type { Storage } from '../storage/storage';
import { asDeferred, waitedFor } from './deferred-file';
import type { DeferredFile, Fetching } from './deferred-file';
import { DisputedFiles } from './disputed-files';
import { FileUnavailable } from './errors';
import { withFirstBytes } from './first-bytes';
import type { ByteRange, DeferredFiles, FoundFile, ReadableFile } from './found-file';
import { passOn } from './pass-on';
import { SavingFiles } from './saving-files';
import type { DeferredLog } from './saving-files';
import { askSize } from './upstream-size';

/** Milliseconds that upstream has to tell a file's size. */
const SIZE_TIMEOUT = 10_000;
/** Sizes that upstream told, and the milliseconds for which they hold: a file of which nothing is declared may change. */
const sizes = { max: 10_000, ttl: 5_000 };

/** What deferred files are served with. */
export interface DeferredDependencies extends SourceDependencies {
  readonly pool: Pool;
  readonly storage: Storage;
  readonly settings: Pick<Settings, 'allowedFilePaths' | 'allowWeakDigests'>;
  readonly log: DeferredLog;
}

/**
 * Serves files that are not stored, from the remotes that have them.
 *
 * - A whole file is saved while it is read, once for all who read it at the same time in this process ({@link SavingFiles}).
 * - A part of it is passed on ({@link passOn}), unless it is of a file that is being saved and will soon be there.
 * - Under the policy `streamed`, and without room in the storage, all is passed on. With several sources, that of the first one decides which may be asked now.
 */
export class DeferredDownloads implements DeferredFiles {
  readonly #fetching: Fetching;
  readonly #remotes: LeasedRemotes;
  readonly #saving: SavingFiles;
  readonly #disputed = new DisputedFiles();
  readonly #sizes = new LRUCache<string, Promise<number | undefined>>(sizes);

  constructor(dependencies: DeferredDependencies) {
    const { pool, storage, settings, log } = dependencies;
    this.#remotes = new LeasedRemotes(dependencies, 'content');
    this.#fetching = {
      pool,
      storage,
      remotes: this.#remotes,
      allowWeakDigests: settings.allowWeakDigests,
      onFailure: ({ origin, remoteName, contentArtifactId }, error) => {
        this.#disputed.noteFailure(contentArtifactId, error);
        log.warn({ error, remote: remoteName, source: origin, contentArtifactId }, 'A source could not give a file');
      },
      onUnnoted: ({ remoteName, contentArtifactId }, error) => {
        log.warn({ error, remote: remoteName, contentArtifactId }, 'How a source has fared could not be noted');
      },
    };
    this.#saving = new SavingFiles(this.#fetching, log);
  }

  async find(found: FoundFile, signal: AbortSignal): Promise<ReadableFile> {
    const { contentArtifactId: id, path } = found;
    const sources = await findSources(this.#fetching.pool, [id]);
    const file = asDeferred(found, sources.get(id) ?? []);
    if (file.sources.length === 0) throw new FileUnavailable(path, ['no remote is known that has it']);
    const size = file.size ?? (await untilAborted(this.#sizeOf(file), signal));
    return {
      size,
      sha256: file.sha256,
      doubt: this.#disputed.has(id) ? 'disputed' : 'unverified',
      open: (range, reading) => this.#open({ ...file, size }, range, reading),
    };
  }

  /** Gives up all downloads that are under way. */
  async close(): Promise<void> {
    await this.#saving.close();
    await this.#remotes.close();
  }

  async #open(
    wanted: DeferredFile,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    signal.throwIfAborted();
    // Looked at first: while it takes its time, another request may save the file.
    const file = (await this.#saving.canSave(wanted)) ? wanted : asStreamed(wanted);
    const { contentArtifactId: id, size } = file;
    const saved = await this.#saving.readSaved(id, range);
    if (saved) return withFirstBytes(saved, signal);
    const isPart = range !== undefined && size !== undefined && range.end - range.start + 1 < size;
    const saving = this.#saving.get(id);
    if (isPart && !saving?.isNear(range)) {
      try {
        const part = passOn(file, range, this.#fetching, signal);
        return await withFirstBytes(this.#disputed.watch(id, part), signal);
      } catch (error) {
        if (!(error instanceof PartsNotServed)) throw error;
      }
    }
    return this.#openWhole(file, range, signal);
  }

  /** From the sources of one policy, and then from those of the other. */
  async #openWhole(
    file: DeferredFile,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const first = file.sources.find((source) => rests(source) === 0);
    const passesOn = (source: FileSource) => source.policy === 'streamed';
    const like = file.sources.filter((source) => first === undefined || passesOn(source) === passesOn(first));
    const others = file.sources.filter((source) => !like.includes(source));
    try {
      return await this.#openFrom({ ...file, sources: like }, range, signal);
    } catch (error) {
      if (!(error instanceof FileUnavailable) || others.length === 0) throw error;
      return this.#openFrom({ ...file, sources: others }, range, signal);
    }
  }

  #openFrom(file: DeferredFile, range: ByteRange | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const streamed = file.sources.every(({ policy }) => policy === 'streamed');
    const bytes = streamed ? passOn(file, range, this.#fetching, signal) : this.#saving.read(file, range, signal);
    return withFirstBytes(this.#disputed.watch(file.contentArtifactId, bytes), signal);
  }

  /** Asked once for all who want to know it; what is being saved is not asked for. */
  #sizeOf(file: DeferredFile): Promise<number | undefined> {
    const { contentArtifactId: id } = file;
    if (this.#saving.get(id)) return Promise.resolve(undefined);
    const known = this.#sizes.get(id);
    if (known) return known;
    const asking = this.#askSize(file);
    this.#sizes.set(id, asking);
    asking.catch(() => this.#sizes.delete(id));
    return asking;
  }

  async #askSize({ path, sources }: DeferredFile): Promise<number | undefined> {
    const signal = AbortSignal.timeout(SIZE_TIMEOUT);
    try {
      const answer = await trySources(sources, this.#fetching, ({ urls }, remote) =>
        askSize(urls, waitedFor(remote, signal)),
      );
      if ('value' in answer) return answer.value;
      throw new FileUnavailable(path, answer.reasons, answer.retryAfter);
    } catch (error) {
      // Who opens the file will see how it fares.
      if (signal.aborted) return undefined;
      throw error;
    }
  }
}

function asStreamed(file: DeferredFile): DeferredFile {
  return { ...file, sources: file.sources.map((source) => ({ ...source, policy: 'streamed' })) };
}
