import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import * as fs from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { DiskFlush } from '../../src/storage/disk-flush';
import { FileStorage } from '../../src/storage/file-storage';
import { StorageFull } from '../../src/storage/storage-full';
import type { ListedFile, StorageWriter } from '../../src/storage/storage';

const small = Buffer.from('a small file');
const large = Buffer.alloc(3_000_000, 'large');

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'penstock-storage-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(writer: StorageWriter, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 65_536) await writer.write(bytes.subarray(at, at + 65_536));
}

async function put(storage: FileStorage, key: string, bytes: Buffer): Promise<void> {
  const writer = storage.create();
  await write(writer, bytes);
  await writer.commit(key);
}

const temporaryFiles = () => readdir(join(root, 'tmp'));

describe('the storage on the file system', () => {
  it('keeps a file where its key says, and nothing else', async () => {
    const storage = await FileStorage.open(root);
    await put(storage, 'artifact/ab/cdef', large);
    expect((await readFile(join(root, 'artifact/ab/cdef'))).equals(large)).toBe(true);
    expect(await temporaryFiles()).toEqual([]);
  });

  it('stores below a folder that somebody removed meanwhile', async () => {
    const storage = await FileStorage.open(root);
    await put(storage, 'metadata/1/a', small);
    await rm(join(root, 'metadata'), { recursive: true });
    await put(storage, 'metadata/1/b', small);
    expect(await storage.sizeOf('metadata/1/b')).toBe(small.length);
  });

  it('removes temporary files that a crash left long ago, and leaves those that may be in use', async () => {
    await FileStorage.open(root);
    await writeFile(join(root, 'tmp', 'old'), small);
    await writeFile(join(root, 'tmp', 'new'), small);
    const longAgo = new Date(Date.now() - 48 * 3_600_000);
    await utimes(join(root, 'tmp', 'old'), longAgo, longAgo);
    await FileStorage.open(root);
    expect(await temporaryFiles()).toEqual(['new']);
  });
});

describe('the list of a storage', () => {
  async function listed(storage: FileStorage, prefix: string): Promise<ListedFile[]> {
    const files: ListedFile[] = [];
    for await (const each of storage.list(prefix)) files.push(each);
    return files.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
  const keys = async (storage: FileStorage, prefix: string) => (await listed(storage, prefix)).map(({ key }) => key);

  it('has key, size and time of every file, temporary ones too', async () => {
    const storage = await FileStorage.open(root);
    await put(storage, 'artifact/ab/cdef', small);
    await put(storage, 'artifact/ab/empty', Buffer.alloc(0));
    await put(storage, 'metadata/1/a', large);
    await writeFile(join(root, 'tmp', 'begun'), small);
    const moment = new Date('2024-05-06T07:08:09Z');
    await utimes(join(root, 'artifact/ab/cdef'), moment, moment);

    const files = await listed(storage, '');
    expect(files.map(({ key, size }) => [key, size])).toEqual([
      ['artifact/ab/cdef', small.length],
      ['artifact/ab/empty', 0],
      ['metadata/1/a', large.length],
      ['tmp/begun', small.length],
    ]);
    expect(files[0]?.modifiedAt).toEqual(moment);
  });

  it('gives files while it goes on, and can be left', async () => {
    const storage = await FileStorage.open(root);
    for (let index = 0; index < 600; index += 1) await put(storage, `artifact/ab/${index}`, small);
    for await (const { key } of storage.list('artifact')) {
      expect(key).toMatch(/^artifact\/ab\/\d+$/);
      break;
    }
    // What is removed after it was found and before it is looked at is left out.
    let found = 0;
    for await (const { key } of storage.list('artifact')) {
      found += 1;
      if (found === 1) {
        await storage.removeAll('artifact');
        expect(key).not.toBe('');
      }
    }
    expect(found).toBe(1);
  });

  it("leaves out the file system's own folder, and is empty where there is no storage", async () => {
    await mkdir(join(root, 'lost+found'));
    await writeFile(join(root, 'lost+found', '#12'), small);
    expect(await keys(FileStorage.forReading(root), '')).toEqual([]);
    expect(await keys(FileStorage.forReading(join(root, 'nowhere')), '')).toEqual([]);
    expect(fs.existsSync(join(root, 'nowhere'))).toBe(false);
    expect(fs.existsSync(join(root, 'tmp'))).toBe(false);
  });
});

describe('a full disk', () => {
  const full = () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  const fullWhenSmall = {
    ...fs,
    writevSync: () => {
      throw full();
    },
  };
  const fullWhenLarge = {
    ...fs,
    writev: ((_file, _chunks, done) => {
      (done as (error: Error) => void)(full());
    }) as typeof fs.writev,
  };
  const noRoomForNames = {
    ...fs,
    renameSync: () => {
      throw Object.assign(full(), { code: 'EDQUOT' });
    },
  };

  it.each([
    ['a small file is written', fullWhenSmall, small],
    ['a large file is written', fullWhenLarge, large],
    ['it is renamed', noRoomForNames, small],
  ])('is said as such when %s, and leaves nothing behind', async (_when, files, bytes) => {
    const storage = await FileStorage.open(root, files);
    const writer = storage.create();
    const failed = write(writer, bytes).then(() => writer.commit('artifact/ab/cdef'));
    const error = await failed.catch((thrown: unknown) => thrown);
    await writer.discard();

    expect(error).toBeInstanceOf(StorageFull);
    expect(error).toMatchObject({ transient: true, name: 'StorageFull' });
    expect((error as Error).message).toContain(`in ${join(root, 'tmp')}:`);
    expect((error as Error).message).toMatch(/\d+ bytes could not be written .*Free space/);
    expect(await temporaryFiles()).toEqual([]);
    expect(await storage.sizeOf('artifact/ab/cdef')).toBeUndefined();
  });

  it('goes on after a short write', async () => {
    const short = {
      ...fs,
      writevSync: (file: number, [chunk]: readonly Uint8Array[]) => fs.writeSync(file, chunk ?? small, 0, 1),
    };
    const storage = await FileStorage.open(root, short as typeof fs);
    await put(storage, 'artifact/ab/cdef', small);
    expect((await buffer(storage.read('artifact/ab/cdef'))).equals(small)).toBe(true);
  });
});

describe('a flush', () => {
  it.each([
    ['the whole file system', true],
    ['each file and its folders', false],
  ])('syncs %s, also several at once, and what was removed meanwhile', async (_what, wholeFileSystem) => {
    const flush = new DiskFlush(root, wholeFileSystem);
    await writeFile(join(root, 'a'), small);
    flush.add(join(root, 'a'));
    flush.add(join(root, 'gone'));
    await Promise.all([flush.flush(), flush.flush(), flush.flush()]);
    await flush.flush();
  });

  it('is part of the storage', async () => {
    const storage = await FileStorage.open(root);
    await put(storage, 'artifact/ab/cdef', small);
    await storage.flush();
  });

  it('fails where the disk cannot be reached', async () => {
    await expect(new DiskFlush(join(root, 'nowhere'), true).flush()).rejects.toThrow();
  });
});
