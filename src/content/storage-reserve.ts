import type { FileSink, Storage } from '../storage/storage';
import { StorageFull } from '../storage/storage-full';

/** What is left free for syncs and everything else: 5 % of the storage, and not more than 1 GiB. */
const reserve = { share: 0.05, most: 1024 ** 3 };
/** Bytes that are written before it is looked again. */
const LOOK_AFTER = 32 * 1024 * 1024;

/** Keeps a part of the storage free of what clients make the content app save. */
export class StorageReserve {
  constructor(private readonly storage: Pick<Storage, 'room'>) {}

  /** Whether so many bytes can be saved and the reserve is still there. */
  async hasRoomFor(bytes: number): Promise<boolean> {
    const room = await this.storage.room();
    return !room || room.free - bytes >= Math.min(room.total * reserve.share, reserve.most);
  }

  /** Writes into `sink` as long as the reserve is there; a `write` beyond throws {@link StorageFull}. */
  keep(sink: FileSink): FileSink {
    const create = () => {
      const writer = sink.create();
      let unseen = 0;
      const write = async (chunk: Uint8Array) => {
        unseen += chunk.byteLength;
        if (unseen >= LOOK_AFTER) {
          unseen = 0;
          if (!(await this.hasRoomFor(chunk.byteLength)))
            throw new StorageFull('The storage has no room for more files; free some, or enlarge it.');
        }
        await writer.write(chunk);
      };
      return { write, commit: (key: string) => writer.commit(key), discard: () => writer.discard() };
    };
    return { create };
  }
}
