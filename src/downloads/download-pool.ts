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
  reject(error: Error): void;
  takeBack(): void;
}

/** How much of a second's requests may go out at once, after a pause: enough to make up for timers that fire late. */
const BURST_SECONDS = 0.1;

/**
 * Bounds the downloads of one sync in one process: how many at once, and how many requests a second.
 *
 * The state:
 * - *members*: the activities that have joined now, each with its share and with those who wait for a slot. The sums of the shares
 *   are the capacity and the rate; one share without a rate limit means no limit. A sync deals its remote's limits out in
 *   shares, so whatever the number of workers, the sum over all of them is within the limits, while activities of one process use
 *   each other's free slots.
 * - *in use*: slots given out. It exceeds the capacity only for a while after a member has left: then nothing is given out
 *   until enough came back.
 * - *tokens*: requests that may go out now under the rate limit. They grow with the time up to a small burst; a slot costs one, so
 *   every request counts, retries too. While there is less than one, a timer serves those who wait when the next one is due.
 *
 * Slots go to the member that joined first, and among its own to who asked first. So batches end one after the other, and while the
 * next one downloads the one before is saved; taking turns, all of them would first download and then be saved.
 * They are given out whenever one of these changes: somebody joins or leaves, a slot comes back, the timer fires.
 */
export class DownloadPool {
  /** Hosts that have asked to be left alone. */
  readonly pauses = new OriginPauses(() => this.capacity);
  readonly #members = new Set<PoolMember>();
  #inUse = 0;
  #rate: number | null = null;
  #tokens = 0;
  #countedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Slots in all, at least one. */
  capacity = 0;

  /** @param shares - `parts` add up; each of `wholes` is all that there is, for all members together */
  constructor(private readonly shares: 'parts' | 'wholes' = 'parts') {}

  /** Slots that are given out. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Whether nobody has joined. */
  get empty(): boolean {
    return this.#members.size === 0;
  }

  /** Adds an activity with its share; it has to leave when its downloads are over. */
  join(share: PoolShare): PoolMember {
    const member = new PoolMember(this, { ...share, slots: Math.max(1, share.slots) });
    this.#members.add(member);
    this.#recount();
    return member;
  }

  /** Takes an activity's share away; a second time is no error. */
  leave(member: PoolMember): void {
    if (this.#members.delete(member)) this.#recount();
  }

  /** A slot for a member, where nobody waits and there is one. */
  take(): Slot | undefined {
    for (const { waiting } of this.#members) if (waiting.size > 0) return undefined;
    return this.#take() ? this.#slot() : undefined;
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
    const shares = [...this.#members].map(({ share }) => share);
    const rates = shares.map(({ requestsPerSecond }) => requestsPerSecond);
    const limited = rates.filter((rate) => rate !== null);
    const first = this.#rate === null;
    this.capacity = this.#together(shares.map(({ slots }) => slots));
    this.#rate = limited.length === 0 || limited.length < rates.length ? null : this.#together(limited);
    if (this.#rate !== null && first) this.#tokens = 1;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#serve();
  }

  #together(shares: readonly number[]): number {
    return this.shares === 'wholes' ? Math.max(0, ...shares) : shares.reduce((sum, share) => sum + share, 0);
  }

  #serve(): void {
    for (const { waiting } of this.#members) {
      for (const waiter of waiting) {
        if (!this.#take()) return;
        waiting.delete(waiter);
        waiter.takeBack();
        waiter.resolve(this.#slot());
      }
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

/** An activity that downloads. */
export class PoolMember {
  /** Those that wait for a slot. */
  readonly waiting = new Set<Waiter>();

  constructor(
    readonly pool: DownloadPool,
    readonly share: PoolShare,
  ) {}

  /** Hosts that have asked to be left alone. */
  get pauses(): OriginPauses {
    return this.pool.pauses;
  }

  /**
   * Waits for a slot. Whoever gets one has to release it.
   *
   * @throws the signal's reason
   */
  acquire(signal?: AbortSignal): Promise<Slot> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const slot = this.pool.take();
      if (slot) {
        resolve(slot);
        return;
      }
      const waiter: Waiter = {
        resolve,
        reject,
        takeBack: onAbort(signal, () => {
          this.waiting.delete(waiter);
          reject(signal?.reason as Error);
        }),
      };
      this.waiting.add(waiter);
    });
  }

  /** Gives the share back, and lets those go who still wait, as nobody wants them any more; a second time is no error. */
  leave(): void {
    this.pool.leave(this);
    for (const waiter of this.waiting) {
      waiter.takeBack();
      waiter.reject(new Error('The activity that wanted this download is over.'));
    }
    this.waiting.clear();
  }
}

/** The pools of a process, one for each sync that downloads in it now. */
export class DownloadPools {
  readonly #pools = new Map<string, DownloadPool>();

  /** The slots of all pools, and how many of them are in use. */
  get slots(): { readonly all: number; readonly used: number } {
    const pools = [...this.#pools.values()];
    return {
      all: pools.reduce((sum, { capacity }) => sum + capacity, 0),
      used: pools.reduce((sum, { inUse }) => sum + inUse, 0),
    };
  }

  /** Joins the pool of a sync. Who joined has to leave when its downloads are over. */
  join(syncId: string, share: PoolShare): PoolMember {
    return this.#find(syncId, () => new DownloadPool()).join(share);
  }

  /** Joins a pool whose members all bring the same limits, which hold for all of them together. */
  joinWhole(name: string, limits: PoolShare): PoolMember {
    return this.#find(name, () => new DownloadPool('wholes')).join(limits);
  }

  #find(name: string, make: () => DownloadPool): DownloadPool {
    for (const [id, { empty }] of this.#pools) if (empty) this.#pools.delete(id);
    const pool = this.#pools.get(name) ?? make();
    this.#pools.set(name, pool);
    return pool;
  }
}
