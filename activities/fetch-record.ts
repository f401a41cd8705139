import { setTimeout } from 'node:timers/promises';

import { attachFetched } from '../src/fetching/attach-artifacts';
import type { FetchedFile } from '../src/fetching/attach-artifacts';
import { noteFetched, noteUnfetched } from '../src/fetching/version-download';
import type { Unfetched } from '../src/fetching/version-download';
import { takeIntoUse } from '../src/models/use-lock';
import type { Storage } from '../src/storage/storage';
import type { MaintenanceAttempt } from './maintenance-attempt';

/** Milliseconds between two writes: what a crash makes forget of files whose sha256 is not known. */
const interval = 1000;

/** Gives contents the files that were fetched for them, as sets, while others are still being fetched. */
export class FetchRecord {
  /** Content artifacts of which nothing is left to do. */
  readonly settled = new Set<string>();
  private fetched: FetchedFile[] = [];
  private unfetched: Unfetched[] = [];

  constructor(
    private readonly attempt: MaintenanceAttempt,
    private readonly storage: Storage,
  ) {}

  addFetched(file: FetchedFile): void {
    this.fetched.push(file);
  }

  addUnfetched(file: Unfetched): void {
    this.unfetched.push(file);
  }

  /** Writes at intervals until the fetching is over, and what is left then. @throws what it or a write fails with */
  async whileFetching(fetching: Promise<unknown>): Promise<void> {
    const over = fetching.then(() => true);
    // Thrown below; until then somebody has to have seen it.
    over.catch(() => undefined);
    while (!(await Promise.race([over, setTimeout(interval, false, { ref: false })]))) await this.flush();
    await this.flush();
  }

  async flush(): Promise<void> {
    const { fetched, unfetched } = this;
    if (fetched.length + unfetched.length === 0) return;
    [this.fetched, this.unfetched] = [[], []];
    await this.storage.flush();
    await this.attempt.transaction(async (client) => {
      const there = await attachFetched(client, this.storage, fetched);
      await noteFetched(client, this.attempt.id, there);
      await noteUnfetched(client, this.attempt.id, unfetched);
      for (const { contentArtifactId } of [...there, ...unfetched]) this.settled.add(contentArtifactId);
    }, takeIntoUse);
  }
}
