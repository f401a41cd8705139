import type { DownloadPools, PoolMember } from '../downloads/download-pool';
import type { RemoteConnection } from '../downloads/remote';
import { RemoteClient } from '../downloads/remote-client';
import { connectionOf } from '../models/remote-secrets';
import type { SecretBox } from '../models/remote-secrets';
import { Remote } from '../models/repository-models';
import { RemoteNotFound } from '../repositories/errors';
import type { Settings } from '../settings';

/** A remote that is open. */
export interface SourceRemote {
  readonly connection: RemoteConnection;
  readonly client: RemoteClient;
  readonly pool: PoolMember;
}

/** What remotes are opened with. */
export interface SourceDependencies {
  readonly pools: DownloadPools;
  readonly secrets: Pick<SecretBox, 'open'>;
  readonly settings: Pick<Settings, 'allowedFilePaths'>;
}

/** The remotes that files are fetched from outside of a sync, each opened at its first use, with its own settings and limits. */
export class SourceRemotes {
  private readonly opened = new Map<string, Promise<SourceRemote>>();

  /** @param purpose - as `repair`; what has the same purpose shares each remote's limits in this process */
  constructor(
    private readonly dependencies: SourceDependencies,
    private readonly purpose: string,
  ) {}

  /** @throws {@link RemoteNotFound}, {@link UnusableRemote}, {@link InvalidSetting} where its secrets cannot be read */
  open(remoteId: string): Promise<SourceRemote> {
    const known = this.opened.get(remoteId) ?? openRemote(remoteId, this.dependencies, this.purpose);
    this.opened.set(remoteId, known);
    return known;
  }

  async close(): Promise<void> {
    for (const opening of await Promise.allSettled(this.opened.values())) {
      if (opening.status === 'fulfilled') await closeRemote(opening.value);
    }
  }
}

/**
 * Opens a remote; who does has to close it.
 *
 * @param purpose - see {@link SourceRemotes}
 * @throws {@link RemoteNotFound}, {@link UnusableRemote}, {@link InvalidSetting} where its secrets cannot be read
 */
export async function openRemote(
  remoteId: string,
  { pools, secrets, settings }: SourceDependencies,
  purpose: string,
): Promise<SourceRemote> {
  const remote = await Remote.findByPk(remoteId);
  if (!remote) throw new RemoteNotFound(remoteId);
  const connection = connectionOf(remote, secrets);
  const client = new RemoteClient(connection, settings, null);
  const limits = { slots: connection.downloadConcurrency, requestsPerSecond: connection.rateLimit };
  return { connection, client, pool: pools.joinWhole(`${purpose} from remote ${remoteId}`, limits) };
}

/** Ends what is under way with a remote. */
export async function closeRemote({ pool, client }: SourceRemote): Promise<void> {
  pool.leave();
  await client.close();
}
