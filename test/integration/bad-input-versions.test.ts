import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { FileRepository, sha256 } from '../harness/file-repository';
import { failSync } from '../harness/failed-sync';
import { Penstock } from '../harness/penstock';

describe('files that cannot be in one version', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  let name: string;
  let count = 0;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(() => penstock.stop());
  beforeEach(async () => {
    upstream = await FileRepository.start();
    name = `repository-${(count += 1)}`;
    await penstock.addRepository(name, { url: upstream.url, max_retries: 0 });
  });
  afterEach(() => upstream.stop());

  it('as they have one path and two digests, are named with both', async () => {
    upstream.put('a', 'one');
    upstream.put('b', 'b');
    const other = `a,${sha256('two')},3`;
    upstream.putManifest([upstream.lineOf('a'), upstream.lineOf('b'), other].join('\n'));
    // The url is the same, so an upstream that has both can only be one that changes meanwhile.
    let asked = 0;
    upstream.misbehave.set('a', (_, response) => response.end((asked += 1) % 2 === 1 ? 'one' : 'two'));
    await penstock.sql('update remotes set max_retries = 10, download_concurrency = 1 where name = $1', [name]);

    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'InvalidVersion', transient: false, details: { path: 'a' } });
    for (const digest of [sha256('one'), sha256('two')]) expect(failed.message).toContain(digest);
    expect(failed.message).toContain('Upstream has to keep one of each.');

    upstream.misbehave.clear();
    upstream.putManifest(undefined);
    upstream.forget();
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 2, downloaded: 0 });
    expect(upstream.downloads).toEqual([]);
  });

  it('as they have one path and two digests, are refused also where nothing is downloaded', async () => {
    await penstock.sql("update remotes set policy = 'on_demand' where name = $1", [name]);
    upstream.putManifest(`a,${sha256('one')},3\na,${sha256('two')},3\n`);
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'InvalidVersion', transient: false, details: { path: 'a' } });
    for (const digest of [sha256('one'), sha256('two')]) expect(failed.message).toContain(digest);
    upstream.putManifest(`a,${sha256('two')},3\n`);
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 1 });
  });

  it('as one file is declared with two sizes, are named with both', async () => {
    upstream.put('a', 'one');
    upstream.putManifest(`a,${sha256('one')},3\na,${sha256('one')},4\n`);
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'SyncIncomplete', transient: false });
    expect(failed.message).toContain(`${upstream.origin}/a: expected 4 bytes, found 3`);
    // Also now that the content is saved, by the line that is right.
    expect((await failSync(penstock, name)).message).toContain('expected 4 bytes, found 3');
    upstream.putManifest(undefined);
    upstream.forget();
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 1, downloaded: 0 });
    expect(upstream.downloads).toEqual([]);
  });

  it('as one file is declared with two sizes, are refused also where nothing is downloaded', async () => {
    await penstock.sql("update remotes set policy = 'on_demand' where name = $1", [name]);
    upstream.putManifest(`a,${sha256('one')},3\nb,${sha256('b')},1\na,${sha256('one')},4\n`);
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'InvalidVersion', transient: false });
    expect(failed.message).toContain('"a": size 3 and size 4');
    expect(failed.details).toMatchObject({ path: 'a' });
    upstream.putManifest(`a,${sha256('one')},3\nb,${sha256('b')},1\n`);
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 2 });
  });

  it('as one would be a folder of the other, are both named', async () => {
    for (const path of ['a', 'a-b', 'a.txt', 'a/b/c', 'z']) upstream.put(path, path);
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'InvalidVersion', transient: false, details: { path: 'a' } });
    expect(failed.message).toContain('"a" and "a/b/c"');
    expect(failed.message).not.toContain('a-b');

    upstream.remove('a');
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 4, downloaded: 0 });
    expect(upstream.repeated).toEqual(['PULP_MANIFEST', 'PULP_MANIFEST']);
  });

  it('as the repository holds the other already, can be mirrored, but not added', async () => {
    upstream.put('a', 'file');
    await penstock.sync(name);
    upstream.remove('a');
    upstream.put('a/b', 'below');
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'InvalidVersion', transient: false });
    expect(failed.message).toContain('"a" and "a/b"');
    expect(await penstock.pathsOf(name, 1)).toEqual(['a']);

    await expect(penstock.sync(name, { mode: 'mirror' })).resolves.toMatchObject({ version: 2, added: 1, removed: 1 });
    expect(await penstock.pathsOf(name, 2)).toEqual(['a/b']);
    expect(upstream.downloads).toEqual(['a', 'a/b']);
  });

  it('are no conflict where a new file takes the place of the one of its path', async () => {
    upstream.put('a', 'old');
    await penstock.sync(name);
    upstream.put('a', 'new');
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 2, added: 1, removed: 1, present: 1 });
    expect(await penstock.contentsOf(name, 1)).toEqual({ a: 'old' });
    expect(await penstock.contentsOf(name, 2)).toEqual({ a: 'new' });
  });
});
