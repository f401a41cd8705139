import type { PoolMember } from '../src/downloads/download-pool';
import type { RemoteConnection } from '../src/downloads/remote';
import { RemoteClient } from '../src/downloads/remote-client';
import { connectionOf } from '../src/models/remote-secrets';
import { Remote } from '../src/models/repository-models';
import { RemoteNotFound } from '../src/repositories/errors';
import type { ActivityDependencies } from './dependencies';

interface SourceRemote {
  readonly connection: RemoteConnection;
  readonly client: RemoteClient;
  readonly pool: PoolMember;
}

/** The remotes that artifacts are downloaded again from, each opened at its first use, with its own settings and limits. */
export class SourceRemotes {
  private readonly opened = new Map<string, Promise<SourceRemote>>();

  constructor(private readonly dependencies: ActivityDependencies) {}

  /** @throws {@link RemoteNotFound}, {@link UnusableRemote}, {@link InvalidSetting} where its secrets cannot be read */
  open(remoteId: string): Promise<SourceRemote> {
    const known = this.opened.get(remoteId) ?? this.connect(remoteId);
    this.opened.set(remoteId, known);
    return known;
  }

  async close(): Promise<void> {
    for (const opening of await Promise.allSettled(this.opened.values())) {
      if (opening.status === 'rejected') continue;
      opening.value.pool.leave();
      await opening.value.client.close();
    }
  }

  private async connect(remoteId: string): Promise<SourceRemote> {
    const { pools, secrets, settings } = this.dependencies;
    const remote = await Remote.findByPk(remoteId);
    if (!remote) throw new RemoteNotFound(remoteId);
    const connection = connectionOf(remote, secrets);
    const client = new RemoteClient(connection, settings);
    const share = { slots: connection.downloadConcurrency, requestsPerSecond: connection.rateLimit };
    return { connection, client, pool: pools.join(`repair of remote ${remoteId}`, share) };
  }
}
