import type { PoolMember, Slot } from '../downloads/download-pool';
import type { PassThrough } from './pass-through';

/** Downloads that slow readers may hold back at once in a process: each keeps a connection, and up to 1 MiB. */
const MOST_HELD = 128;

type Slots = Pick<PoolMember, 'acquire' | 'pauses'>;

/** The slots that one reader's requests take, which can be given back before the requests have ended. */
export class ReleasableSlots {
  #slot: Slot | undefined;

  /** A remote's slots, as this reader takes them. */
  of(pool: Slots): Slots {
    const acquire = async (signal?: AbortSignal) => (this.#slot = await pool.acquire(signal));
    return { pauses: pool.pauses, acquire };
  }

  /** Lets others ask the remote while this reader has yet to take what has come. */
  giveBack(): void {
    this.#slot?.release();
  }
}

/** The readers who hold a download back that has no slot any more. Where they are too many, who has stood still longest has to go. */
export class SlowReaders {
  readonly #errors = new Map<PassThrough, Error>();

  /** @param tooMany - what it is told when it has to go */
  add(pipe: PassThrough, tooMany: Error): void {
    this.#errors.set(pipe, tooMany);
    if (this.#errors.size <= MOST_HELD) return;
    const since = (each: PassThrough) => each.standsSince ?? Infinity;
    const longest = [...this.#errors.keys()].reduce((found, each) => (since(each) < since(found) ? each : found));
    longest.fail(this.#errors.get(longest) ?? tooMany);
    this.#errors.delete(longest);
  }

  delete(pipe: PassThrough): void {
    this.#errors.delete(pipe);
  }
}
