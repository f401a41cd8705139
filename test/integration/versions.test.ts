import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';

import { inTransaction } from '../../src/models/database';
import { deleteVersion } from '../../src/repositories/delete-version';
import { listChanges } from '../../src/repositories/diff-versions';
import { IncompleteVersion, LastVersion, VersionNotFound } from '../../src/repositories/errors';
import { lockRepository } from '../../src/repositories/lock-repository';
import { setRetention } from '../../src/repositories/retain-versions';
import { rollbackVersion } from '../../src/repositories/rollback-version';
import { listContents } from '../../src/repositories/contents';
import { findVersion } from '../../src/repositories/versions';
import { FileRepository } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { addContents, membersOf, writeHistory } from '../harness/version-history';

describe('versions that are deleted, rolled back and retained', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  let name: string;
  let count = 0;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(() => penstock.stop());
  beforeEach(async () => {
    upstream = await FileRepository.start({ 'one.txt': 'one', 'both.txt': 'both' });
    name = `repository-${(count += 1)}`;
    await penstock.addRepository(name, { url: upstream.url, max_retries: 0 });
  });
  afterEach(() => upstream.stop());

  /** Version 1 holds `both.txt` and `one.txt`, version 2 `both.txt` and `two.txt`. */
  async function syncTwice(): Promise<void> {
    await penstock.sync(name, { mode: 'mirror' });
    upstream.remove('one.txt');
    upstream.put('two.txt', 'two');
    await penstock.sync(name, { mode: 'mirror' });
  }

  /** Starts a sync that adds `three.txt` to a third version, and hangs at its download. */
  async function startHeldSync(): Promise<{ handle: WorkflowHandle; letGo: () => void }> {
    const content = `three of ${name}`;
    upstream.put('three.txt', content);
    const held: (() => void)[] = [];
    upstream.misbehave.set('three.txt', (_, response) => held.push(() => response.end(content)));
    const handle = await penstock.startSync(name, { mode: 'mirror' });
    await eventually('the download', () => held.length > 0);
    const letGo = () => {
      for (const go of held) go();
    };
    return { handle, letGo };
  }

  it('never have a number twice, also where the newest was deleted', async () => {
    await syncTwice();
    await deleteVersion(penstock.database, name, 2);
    expect(await penstock.pathsOf(name, 1)).toEqual(['both.txt', 'one.txt']);
    // Nothing has changed upstream since version 2, but the repository no longer has it.
    await expect(penstock.sync(name, { mode: 'mirror' })).resolves.toMatchObject({
      ...{ skipped: false, changed: true, version: 3, added: 1, removed: 1, downloaded: 0 },
    });
    expect(await penstock.versionsOf(name)).toEqual([0, 1, 3]);
    await expect(penstock.sync(name, { mode: 'mirror' })).resolves.toMatchObject({ skipped: true, version: 3 });
  });

  it('are what the next sync goes out from after a rollback, which it does not skip', async () => {
    await syncTwice();
    await expect(rollbackVersion(penstock.database, name, 1)).resolves.toEqual({
      ...{ version: 3, changed: true, added: 1, removed: 1 },
    });
    expect(await penstock.pathsOf(name, 3)).toEqual(['both.txt', 'one.txt']);
    expect(await findVersion(name)).toMatchObject({ number: 3, added: 1, removed: 1, present: 2 });
    await expect(rollbackVersion(penstock.database, name, 1)).resolves.toEqual({
      ...{ version: 3, changed: false, added: 0, removed: 0 },
    });
    expect(await penstock.versionsOf(name)).toEqual([0, 1, 2, 3]);

    await expect(penstock.sync(name, { mode: 'mirror' })).resolves.toMatchObject({
      ...{ skipped: false, version: 4, added: 1, removed: 1, downloaded: 0 },
    });
    expect(await penstock.pathsOf(name, 4)).toEqual(['both.txt', 'two.txt']);
    expect(await penstock.pathsOf(name, 3)).toEqual(['both.txt', 'one.txt']);
  });

  it('are deleted while a sync runs, but for the one that it goes out from', async () => {
    await syncTwice();
    const { handle, letGo } = await startHeldSync();

    await deleteVersion(penstock.database, name, 1);
    const refused = deleteVersion(penstock.database, name, 2);
    await expect(refused).rejects.toThrow(IncompleteVersion);
    await expect(refused).rejects.toThrow(`penstock sync discard ${name}`);
    await expect(rollbackVersion(penstock.database, name, 0)).rejects.toThrow(IncompleteVersion);
    await expect(deleteVersion(penstock.database, name, 3)).rejects.toThrow('a sync has begun it, and is not over');
    letGo();
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ version: 3, added: 1, removed: 0, present: 3 });
    expect(await penstock.versionsOf(name)).toEqual([0, 2, 3]);
    expect(await findVersion(name, 2)).toMatchObject({ added: 2, removed: 0, present: 2 });
    expect(await penstock.pathsOf(name, 2)).toEqual(['both.txt', 'two.txt']);
  });

  it('are completed and deleted one after the other', async () => {
    await syncTwice();
    const { handle, letGo } = await startHeldSync();
    const { pool } = penstock.database;
    const [deleted] = await inTransaction(pool, async (client) => {
      await lockRepository(client, name);
      letGo();
      const deleting = deleteVersion(penstock.database, name, 1);
      await eventually('a deletion and a completion that wait', async () => {
        const waiting = await penstock.sql(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return waiting.length === 2;
      });
      return [deleting];
    });
    await deleted;
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ version: 3, added: 1, present: 3 });
    expect(await penstock.versionsOf(name)).toEqual([0, 2, 3]);
    expect(await penstock.pathsOf(name, 2)).toEqual(['both.txt', 'two.txt']);
    expect(await penstock.pathsOf(name, 3)).toEqual(['both.txt', 'three.txt', 'two.txt']);
  });

  it('go when a newer one is complete, where the repository retains so many', async () => {
    await setRetention(penstock.database, name, 2);
    await syncTwice();
    expect(await penstock.versionsOf(name)).toEqual([1, 2]);
    expect(await penstock.pathsOf(name, 1)).toEqual(['both.txt', 'one.txt']);
    await rollbackVersion(penstock.database, name, 1);
    expect(await penstock.versionsOf(name)).toEqual([2, 3]);
    expect(await findVersion(name, 2)).toMatchObject({ added: 2, removed: 0, present: 2 });
    expect(await findVersion(name, 3)).toMatchObject({ added: 1, removed: 1, present: 2 });

    await expect(setRetention(penstock.database, name, 1)).resolves.toBe(1);
    expect(await penstock.versionsOf(name)).toEqual([3]);
    expect(await penstock.pathsOf(name, 3)).toEqual(['both.txt', 'one.txt']);
    await expect(deleteVersion(penstock.database, name, 3)).rejects.toThrow(LastVersion);
    await setRetention(penstock.database, name, null);
    await penstock.sync(name, { mode: 'mirror' });
    expect(await penstock.versionsOf(name)).toEqual([3, 4]);
  });

  it('that are not there are named', async () => {
    for (const ask of [deleteVersion, rollbackVersion]) {
      const refused = ask(penstock.database, name, 9);
      await expect(refused).rejects.toThrow(VersionNotFound);
      await expect(refused).rejects.toThrow(`Repository "${name}" has no complete version 9.`);
    }
  });

  it('are an error where they are deleted while they are listed', async () => {
    const { pool } = penstock.database;
    const store = { pool, plugins: penstock.plugins };
    const ids = Array.from({ length: 2500 }, (_, index) => 1_000_001 + index);
    await addContents(pool, ids);
    await writeHistory(pool, 'listed', [[], ids, [], ids]);
    const changes = listChanges(store, { repository: 'listed', from: 0, to: 1 }, Infinity);
    const contents = listContents(store, { repository: 'listed', version: 1, after: '0', limit: Infinity });
    await changes.next();
    await contents.next();
    await deleteVersion(penstock.database, 'listed', 1);
    const readAll = async (list: AsyncIterable<unknown>) => {
      let read = 0;
      for await (const each of list) if (each) read += 1;
      return read;
    };
    await expect(readAll(changes)).rejects.toThrow(VersionNotFound);
    await expect(readAll(contents)).rejects.toThrow(VersionNotFound);
    expect(await readAll(listChanges(store, { repository: 'listed', from: 2, to: 3 }, Infinity))).toBe(2500);
    expect(await readAll(listChanges(store, { repository: 'listed', from: 3, to: 2 }, 1001))).toBe(1001);
    expect((await membersOf(pool, 'listed')).get(3)).toEqual(ids);
  });
});
