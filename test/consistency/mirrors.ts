import { expect } from '@jest/globals';

import { artifactKey, metadataKey } from '../../src/storage/storage';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { FailedSync, Penstock } from '../harness/penstock';

const files = numberedFiles(20);

/** One of the files, which all repositories have. */
export const content = files['file-00003.txt'] ?? '';
export const digest = sha256(content);
export const key = artifactKey(digest);
/** Of no file. */
export const stray = 'ab'.repeat(32);

/** Several repositories, two of them with the same files; one on demand, one whose sync has failed and can go on. */
export class Mirrors {
  private constructor(
    readonly penstock: Penstock,
    private readonly upstream: FileRepository,
    private readonly syncs: ReadonlyMap<string, string>,
  ) {}

  static async start(): Promise<Mirrors> {
    const penstock = await Penstock.start();
    const upstream = await FileRepository.start(files);
    await penstock.addRepository('files', { url: upstream.url });
    await penstock.addRepository('copies', { url: upstream.url });
    await penstock.addRepository('lazy', { url: upstream.url, policy: 'on_demand' });
    await penstock.addRepository('failed', { url: upstream.url });
    await penstock.sync('files');
    upstream.remove('file-00000.txt');
    upstream.put('new.txt', 'new');
    await penstock.sync('files', { mode: 'mirror' });
    await expect(penstock.sync('files', { mode: 'mirror' })).resolves.toMatchObject({ version: 2, skipped: true });
    await penstock.sync('copies');
    upstream.put('later.txt', 'later');
    await penstock.sync('lazy');
    upstream.misbehave.set('later.txt', (_, response) => response.writeHead(404).end());
    await expect(penstock.sync('failed')).rejects.toBeInstanceOf(FailedSync);
    const rows = await penstock.sql<{ id: string; name: string }>(
      `select sync.id, repository.name from syncs sync join repositories repository on repository.id = sync.repository_id
        where sync.state <> 'skipped' order by sync.id`,
    );
    return new Mirrors(penstock, upstream, new Map(rows.map(({ id, name }) => [name, id])));
  }

  /** The last sync of a repository that was no skip. */
  syncOf(repository: string): string {
    return this.syncs.get(repository) ?? '';
  }

  /** Where the metadata of the failed sync lies. */
  async pinned(): Promise<string> {
    const sync = this.syncOf('failed');
    const [pin] = await this.penstock.sql<{ sha256: string }>('select sha256 from sync_metadata where sync_id = $1', [
      sync,
    ]);
    return metadataKey(sync, pin?.sha256 ?? '');
  }

  async stop(): Promise<void> {
    await this.upstream.stop();
    await this.penstock.stop();
  }
}
