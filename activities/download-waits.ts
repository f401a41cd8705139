import type { Wait } from '../src/downloads/retries';

/** Why a host is not asked at the moment. */
export interface HostWait {
  readonly host: string;
  readonly reason: string;
  /** ISO 8601. */
  readonly until: string;
}

/** Milliseconds: shorter waits are over before anybody has read of them. */
const shortest = 3000;
/** Hosts that are named at once. */
const most = 10;

/** Which hosts the downloads of a batch wait for: of each, the wait that ends last. */
export class DownloadWaits {
  private readonly hosts = new Map<string, HostWait>();
  private changed = false;

  add({ url, reason, until }: Wait): void {
    const host = URL.canParse(url) ? new URL(url).host : url;
    const known = this.hosts.get(host);
    const ends = until.toISOString();
    if (until.getTime() - Date.now() < shortest || (known && known.until >= ends)) return;
    if (!known && this.hosts.size >= most) return;
    this.hosts.set(host, { host, reason, until: ends });
    this.changed = true;
  }

  /** All that is waited for, where that is something else than at the call before. */
  takeChanges(): readonly HostWait[] | undefined {
    const now = new Date().toISOString();
    for (const [host, { until }] of this.hosts) {
      if (until > now) continue;
      this.hosts.delete(host);
      this.changed = true;
    }
    if (!this.changed) return undefined;
    this.changed = false;
    return [...this.hosts.values()];
  }

  /** For the details of a heartbeat: `429 from mirror.example until …`. */
  describe(): { readonly waiting?: readonly string[] } {
    if (this.hosts.size === 0) return {};
    return { waiting: [...this.hosts.values()].map(({ host, reason, until }) => `${host}: ${reason}, until ${until}`) };
  }
}
