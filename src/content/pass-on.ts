import { onAbort } from '../downloads/abort';
import { downloadArtifact } from '../downloads/download-artifact';
import { ConnectionFailed, DownloadFailed, DownloadTimeout, PartsNotServed } from '../downloads/download-error';
import { downloadPart } from '../downloads/download-part';
import { PenstockError } from '../errors';
import type { FileSource } from '../fetching/find-sources';
import type { SourceRemote } from '../fetching/source-remotes';
import { trySources } from '../fetching/try-sources';
import { waitedFor, wantedFrom } from './deferred-file';
import type { DeferredFile, Fetching } from './deferred-file';
import { FileUnavailable } from './errors';
import type { ByteRange } from './found-file';
import { BrokenOff, PassThrough } from './pass-through';
import { ReleasableSlots, SlowReaders } from './slow-readers';

/** A download ended because it had to wait for its reader, which says nothing of its source. */
class ReaderTooSlow extends PenstockError {
  override readonly transient = true;

  constructor(path: string, reason: string) {
    super(`"${path}" was passed on too slowly: ${reason}`, { path });
  }
}

/** Readers that hold a download back, each with its connection and some memory, beside those that have a slot of their remote. */
const slowReaders = new SlowReaders();

/**
 * Hands a file, or a part of it, from upstream to one reader, and stores nothing. Once the reader has had bytes, no other source is
 * tried.
 *
 * @param range - absent: all of it. Of a file whose size is not known all is fetched, as far as the reader reads
 * @throws {@link FileUnavailable}, the signal's reason
 * @throws {@link PartsNotServed} where a source that may be saved gives the whole file only
 */
export async function* passOn(
  file: DeferredFile,
  range: ByteRange | undefined,
  fetching: Fetching,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const reader = new AbortController();
  const leave = () => {
    const gone = new Error('Its reader has gone.');
    reader.abort(gone);
    pipe.fail(gone);
  };
  const slots = new ReleasableSlots();
  const pipe = new PassThrough(range, () => {
    slots.giveBack();
    slowReaders.add(pipe, new ReaderTooSlow(file.path, 'too many are read slowly at the same time'));
  });
  const takeBack = onAbort(signal, leave);
  const run = async () => {
    const passed = await trySources(file.sources, fetching, async (source, remote) => {
      if (pipe.given > 0)
        throw new FileUnavailable(file.path, ['its source failed when some of it had been passed on']);
      await fetchInto(pipe, { file, source, remote, range, signal: reader.signal, fetching, slots });
    });
    if (!('value' in passed)) throw new FileUnavailable(file.path, passed.reasons, passed.retryAfter);
  };
  void run().catch((error: unknown) => {
    pipe.fail(error as Error);
  });
  try {
    yield* pipe.read(signal);
  } finally {
    takeBack();
    leave();
    slowReaders.delete(pipe);
  }
}

interface Passing {
  readonly file: DeferredFile;
  readonly source: FileSource;
  readonly remote: SourceRemote;
  readonly range: ByteRange | undefined;
  readonly signal: AbortSignal;
  readonly fetching: Fetching;
  readonly slots: ReleasableSlots;
}

async function fetchInto(pipe: PassThrough, passing: Passing): Promise<void> {
  const { file, source, remote, range, signal, fetching, slots } = passing;
  const { size } = file;
  const waited = waitedFor(remote, signal);
  const { allowWeakDigests } = fetching;
  const context = { ...waited, pool: slots.of(waited.pool), allowWeakDigests, alone: true };
  const whole = () => downloadArtifact(wantedFrom(source, file), { ...context, storage: pipe.from(0) });
  try {
    if (!range || size === undefined) await whole();
    else
      await downloadPart(source.urls, { ...range, size }, { ...context, storage: pipe.from(range.start) }).catch(
        (error: unknown) => {
          if (!(error instanceof PartsNotServed) || source.policy !== 'streamed') throw error;
          return whole();
        },
      );
  } catch (error) {
    if (pipe.isSlow && isOfReader(error)) throw new ReaderTooSlow(file.path, (error as Error).message);
    throw error;
  }
}

const ends = [DownloadTimeout, ConnectionFailed, BrokenOff] as const;

/** Servers and timeouts end what stands still for long; what breaks off then cannot begin anew. */
function isOfReader(error: unknown): boolean {
  if (!(error instanceof DownloadFailed)) return false;
  return error.failures.every(({ error: each }) => ends.some((kind) => each instanceof kind));
}
