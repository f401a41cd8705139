import { closeRemote, openRemote } from './source-remotes';
import type { SourceDependencies, SourceRemote } from './source-remotes';

/** Milliseconds that a remote stays open after its last use. */
const IDLE_MS = 60_000;

/** A remote as it was at one revision. */
interface Lease {
  readonly revision: string;
  readonly opening: Promise<SourceRemote>;
  users: number;
  idle?: NodeJS.Timeout;
}

/**
 * The remotes of a process that lives for long: each is opened at its first use, stays open until nobody has used it for a minute,
 * and is opened anew, with its new settings, once it was changed. What is under way goes on as it began.
 */
export class LeasedRemotes {
  readonly #current = new Map<string, Lease>();
  readonly #all = new Set<Lease>();

  /** @param purpose - what has the same purpose shares each remote's limits in this process */
  constructor(
    private readonly dependencies: SourceDependencies,
    private readonly purpose: string,
  ) {}

  /**
   * Does something with a remote.
   *
   * @param revision - of the remote, now
   * @throws {@link RemoteNotFound}, {@link UnusableRemote}, {@link InvalidSetting} where its secrets cannot be read
   */
  async use<T>(remoteId: string, revision: string, work: (remote: SourceRemote) => Promise<T>): Promise<T> {
    const known = this.#current.get(remoteId);
    const lease = known?.revision === revision ? known : this.#open(remoteId, revision);
    lease.users += 1;
    clearTimeout(lease.idle);
    // What was changed is closed with its last use; its share of the limits counts until then.
    if (known && known !== lease && known.users === 0) await this.#close(known);
    try {
      return await work(await lease.opening);
    } finally {
      lease.users -= 1;
      if (lease.users === 0) await this.#rest(remoteId, lease);
    }
  }

  /** Ends all that is under way. */
  async close(): Promise<void> {
    this.#current.clear();
    await Promise.all([...this.#all].map((lease) => this.#close(lease)));
  }

  #open(remoteId: string, revision: string): Lease {
    const lease: Lease = { revision, opening: openRemote(remoteId, this.dependencies, this.purpose), users: 0 };
    // What could not be opened is tried again at the next use: the fault may lie with the database, or with our settings.
    lease.opening.catch(() => {
      if (this.#current.get(remoteId) === lease) this.#current.delete(remoteId);
    });
    this.#current.set(remoteId, lease);
    this.#all.add(lease);
    return lease;
  }

  async #rest(remoteId: string, lease: Lease): Promise<void> {
    if (this.#current.get(remoteId) !== lease) {
      await this.#close(lease);
      return;
    }
    lease.idle = setTimeout(() => {
      this.#current.delete(remoteId);
      void this.#close(lease);
    }, IDLE_MS).unref();
  }

  async #close(lease: Lease): Promise<void> {
    if (!this.#all.delete(lease)) return;
    clearTimeout(lease.idle);
    const [opened] = await Promise.allSettled([lease.opening]);
    if (opened.status === 'fulfilled') await closeRemote(opened.value);
  }
}
