import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { DataLock } from '../../src/embedded/data-lock';

describe('the lock of a data folder', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-lock-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  /** As many as want it at the same time. */
  const takeByMany = () => Promise.all(Array.from({ length: 20 }, () => DataLock.take(folder)));

  it('is given to one of many, again and again', async () => {
    for (let round = 0; round < 10; round++) {
      const results = await takeByMany();
      const locks = results.filter((result) => result instanceof DataLock);
      expect(locks).toHaveLength(1);
      expect(await DataLock.owner(folder)).toMatchObject({ pid: process.pid });
      await locks[0]?.release();
      expect(await DataLock.owner(folder)).toBeUndefined();
    }
    expect(await readdir(folder)).toHaveLength(1);
  });

  it.each([
    ['has ended', JSON.stringify({ pid: 2 ** 22 - 1, started: 'once' })],
    ['has the pid of another process by now', JSON.stringify({ pid: process.pid, started: 'before the last boot' })],
    ['cannot be read', '\0\0\0'],
    ['is not written down', ''],
  ])('is taken over by one of many from an owner that %s', async (_, content) => {
    await writeFile(join(folder, 'owner.7'), content);
    await writeFile(join(folder, `owner.draft-${2 ** 22 - 1}-killed`), '');
    const locks = (await takeByMany()).filter((result) => result instanceof DataLock);
    expect(locks).toHaveLength(1);
    const [name = '', ...others] = await readdir(folder);
    expect(name).toBe('owner.8');
    expect(others).toEqual([]);
    expect(JSON.parse(await readFile(join(folder, name), 'utf8'))).toMatchObject({ pid: process.pid });
  });
});
