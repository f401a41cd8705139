import { metadataKey } from '../storage/storage';
import { quoted } from '../syncs/errors';
import { pages } from './pages';
import { openStates, requireStorage } from './problem';
import type { CheckContext, CheckedStorage, Problem } from './problem';

interface OpenSync {
  readonly key: string;
  readonly repository: string;
}

interface Pin {
  /** The url. */
  readonly key: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** What an open sync has pinned lies in the storage with its size. A completed one needs no more than its rows. */
export async function* checkPinnedMetadata(
  context: CheckContext,
  tally: (files: number) => void,
): AsyncGenerator<Problem> {
  const storage = requireStorage(context);
  for await (const syncs of pages<OpenSync>(context, openSyncs)) {
    for (const sync of syncs) yield* checkPins(context, storage, sync, tally);
  }
}

const openSyncs = `
  select sync.id as key, repository.name as repository
    from syncs sync join repositories repository on repository.id = sync.repository_id
   where sync.state in ${openStates} and sync.id > $1 order by sync.id limit $2`;

async function* checkPins(
  context: CheckContext,
  storage: CheckedStorage,
  { key: sync, repository }: OpenSync,
  tally: (files: number) => void,
): AsyncGenerator<Problem> {
  for await (const pins of pages<Pin>(context, pinPage, [sync], '')) {
    tally(pins.length);
    const sizes = await Promise.all(pins.map(({ sha256 }) => storage.sizeOf(metadataKey(sync, sha256))));
    const faults = pins.flatMap((pin, index) => (sizes[index] === pin.size ? [] : [{ pin, size: sizes[index] }]));
    if (faults.length === 0) continue;
    // It is removed once the sync is over, which may be now.
    const { rowCount } = await context.pool.query(`select from syncs where id = $1 and state in ${openStates}`, [sync]);
    if (rowCount === 0) return;
    for (const { pin, size } of faults) {
      const path = metadataKey(sync, pin.sha256);
      const expected = `${pin.size} bytes`;
      const found = size === undefined ? 'no file' : `${size} bytes`;
      yield {
        kind: 'metadataMissing',
        message: `Metadata ${pin.key}, which sync ${sync} of repository "${repository}" has pinned, has to lie in the storage as ${path}: expected ${expected}, found ${found}.`,
        mend: `The sync fetches it again when it reads it; if it does not run: penstock sync ${quoted(repository)}`,
        ...{ repository, sync, url: pin.key, path, expected, found },
      };
    }
  }
}

const pinPage = `
  select url as key, sha256, size::float8 as size
    from sync_metadata where sync_id = $3 and url > $1 order by url limit $2`;
