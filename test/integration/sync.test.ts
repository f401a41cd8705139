import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';

describe('a sync of a file repository', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start();
    upstream = await FileRepository.start();
  });
  afterAll(async () => {
    await upstream.stop();
    await penstock.stop();
  });

  it('makes a complete version with all files, and one with what has changed', async () => {
    for (const [path, content] of Object.entries(numberedFiles(2500, 'first'))) upstream.put(path, content);
    await penstock.addRepository('changing', { url: upstream.url });
    await expect(penstock.sync('changing')).resolves.toMatchObject({
      version: 1,
      changed: true,
      added: 2500,
      removed: 0,
      present: 2500,
      downloaded: 2500,
    });

    upstream.remove('first-00000.txt');
    upstream.put('first-00001.txt', 'another content');
    upstream.put('new/one.txt', 'new');
    await expect(penstock.sync('changing', { mode: 'mirror' })).resolves.toMatchObject({
      version: 2,
      added: 2,
      removed: 2,
      present: 2500,
      downloaded: 2,
    });

    expect(await penstock.pathsOf('changing', 1)).toHaveLength(2500);
    expect(await penstock.pathsOf('changing', 2)).not.toContain('first-00000.txt');
    expect(await penstock.pathsOf('changing', 2)).toContain('new/one.txt');
  });
});
