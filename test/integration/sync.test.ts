import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { ObjectStore } from '../services/object-store';

describe.each([
  ['a folder', 2500],
  ['an object store', 300],
])('a sync of a file repository into %s', (where, count) => {
  let store: ObjectStore | undefined;
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    if (where === 'an object store') store = await ObjectStore.start();
    penstock = await Penstock.start({ objectStore: store });
    upstream = await FileRepository.start();
  });
  afterAll(async () => {
    await upstream.stop();
    await penstock.stop();
    await store?.stop();
  });

  it('makes a complete version with all files, and one with what has changed', async () => {
    for (const [path, content] of Object.entries(numberedFiles(count, 'first'))) upstream.put(path, content);
    await penstock.addRepository('changing', { url: upstream.url });
    await expect(penstock.sync('changing')).resolves.toMatchObject({
      version: 1,
      changed: true,
      added: count,
      removed: 0,
      present: count,
      downloaded: count,
    });

    upstream.remove('first-00000.txt');
    upstream.put('first-00001.txt', 'another content');
    upstream.put('new/one.txt', 'new');
    await expect(penstock.sync('changing', { mode: 'mirror' })).resolves.toMatchObject({
      version: 2,
      added: 2,
      removed: 2,
      present: count,
      downloaded: 2,
    });

    expect(await penstock.pathsOf('changing', 1)).toHaveLength(count);
    expect(await penstock.pathsOf('changing', 2)).not.toContain('first-00000.txt');
    expect(await penstock.pathsOf('changing', 2)).toContain('new/one.txt');
  });
});
