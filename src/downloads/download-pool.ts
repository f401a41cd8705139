import { onAbort } from './abort';
import { OriginPauses } from './origin-pauses';

/** What one activity may use of a remote, for as long as it runs. */
export interface PoolShare {
  /** Downloads at once. */
  readonly slots: number;
  /** `null`: no limit. */
  readonly requestsPerSecond: number | null;
}

/** The right to make one request and to read its body. */
export interface Slot {
  /** Gives the slot back; a second time is no error. */
  release(): void;
}

interface Waiter {
  resolve(slot: Slot): void;
  takeBack(): void;
}

/** How much of a second's requests may go out at once, after a pause: enough to make up for timers that fire late. */
const BURST_SECONDS = 0.1;

/**
 * Bounds the downloads of one sync in one process: how many at once, and how many requests a second.
 *
 * The state:
 * - *shares*: those of the activities that have joined now. Their sums are the capacity and the rate; one share without
 *   a rate limit means no limit. A sync deals its remote's limits out in shares, so whatever the number of workers, the sum over
 *   all of them is within the limits, while activities of one process use each other's free slots.
 * - *in use*: slots given out. It exceeds the capacity only for a while after a share has left: then nothing is given out
 *   until enough came back.
 * - *queue*: who waits for a slot, first come, first served. A waiter leaves it with a slot, or when its signal aborts.
 * - *tokens*: requests that may go out now under the rate limit. They grow with the time up to a small burst; a slot costs one, so
 *   every request counts, retries too. While there is less than one, a timer serves the queue when the next one is due.
 *
 * The queue is served whenever one of them changes: a share joins, a slot comes back, the timer fires.
 */
export class DownloadPool {
  /** Hosts that have asked to be left alone. */
  readonly pauses = new OriginPauses(() => this.capacity);
  readonly #shares = new Set<PoolShare>();
  readonly #queue = new Set<Waiter>();
  #inUse = 0;
  #rate: number | null = null;
  #tokens = 0;
  #countedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Slots in all, at least one for each share. */
  capacity = 0;

  /** Slots that are given out. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Those that wait for a slot. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Whether nobody has joined. */
  get empty(): boolean {
    return this.#shares.size === 0;
  }

  /** Adds a share, and gives a function that takes it away again. */
  join(share: PoolShare): () => void {
    const own = { ...share, slots: Math.max(1, share.slots) };
    this.#shares.add(own);
    this.#recount();
    return () => {
      if (this.#shares.delete(own)) this.#recount();
    };
  }

  /**
   * Waits for a slot. Whoever gets one has to release it, and must belong to an activity that has joined.
   *
   * @throws the signal's reason
   */
  acquire(signal?: AbortSignal): Promise<Slot> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      if (this.#queue.size === 0 && this.#take()) {
        resolve(this.#slot());
        return;
      }
      const waiter: Waiter = {
        resolve,
        takeBack: onAbort(signal, () => {
          this.#queue.delete(waiter);
          reject(signal?.reason as Error);
        }),
      };
      this.#queue.add(waiter);
    });
  }

  #slot(): Slot {
    let held = true;
    return {
      release: () => {
        if (!held) return;
        held = false;
        this.#inUse -= 1;
        this.#serve();
      },
    };
  }

  #recount(): void {
    this.#refill();
    const shares = [...this.#shares];
    const rates = shares.map(({ requestsPerSecond }) => requestsPerSecond);
    const limited = rates.filter((rate) => rate !== null);
    const first = this.#rate === null;
    this.capacity = shares.reduce((sum, { slots }) => sum + slots, 0);
    this.#rate =
      limited.length === 0 || limited.length < rates.length ? null : limited.reduce((sum, rate) => sum + rate, 0);
    if (this.#rate !== null && first) this.#tokens = 1;
    this.#serve();
  }

  #serve(): void {
    for (const waiter of this.#queue) {
      if (!this.#take()) return;
      this.#queue.delete(waiter);
      waiter.takeBack();
      waiter.resolve(this.#slot());
    }
  }

  #take(): boolean {
    if (this.#inUse >= this.capacity) return false;
    if (this.#rate !== null) {
      this.#refill();
      if (this.#tokens < 1) {
        this.#serveLater(((1 - this.#tokens) / this.#rate) * 1000);
        return false;
      }
      this.#tokens -= 1;
    }
    this.#inUse += 1;
    return true;
  }

  #refill(): void {
    const now = performance.now();
    if (this.#rate !== null) {
      const grown = this.#tokens + ((now - this.#countedAt) / 1000) * this.#rate;
      this.#tokens = Math.min(Math.max(1, this.#rate * BURST_SECONDS), grown);
    }
    this.#countedAt = now;
  }

  #serveLater(milliseconds: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#serve();
    }, Math.ceil(milliseconds));
  }
}

/** The pools of a process, one for each sync that downloads in it now. */
export class DownloadPools {
  readonly #pools = new Map<string, DownloadPool>();

  /** Joins the pool of a sync. Who joined must call `leave` when its downloads are over. */
  join(syncId: string, share: PoolShare): { readonly pool: DownloadPool; leave(): void } {
    const pool = this.#pools.get(syncId) ?? new DownloadPool();
    this.#pools.set(syncId, pool);
    const leave = pool.join(share);
    return {
      pool,
      leave: () => {
        leave();
        if (pool.empty && this.#pools.get(syncId) === pool) this.#pools.delete(syncId);
      },
    };
  }
}
