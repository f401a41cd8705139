import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { readSettings } from '../../src/settings';
import type { Settings } from '../../src/settings';
import { openStorage, openStorageForReading } from '../../src/storage/open-storage';
import type { Storage, StorageWriter } from '../../src/storage/storage';
import { InvalidStorageKey } from '../../src/storage/storage-key';
import { ObjectStore } from '../services/object-store';

const small = Buffer.from('a small file');
/** Of more than one part in an object store. */
const large = randomBytes(20_000_000);

async function write(writer: StorageWriter, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 65_536) await writer.write(bytes.subarray(at, at + 65_536));
}

async function put(storage: Storage, key: string, bytes: Buffer): Promise<void> {
  const writer = storage.create();
  await write(writer, bytes);
  await writer.commit(key);
}

describe.each(['a folder', 'an object store'])('a storage in %s', (where) => {
  let store: ObjectStore | undefined;
  let folder: string;
  let settings: Settings;
  let storage: Storage;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-storage-'));
    if (where === 'an object store') store = await ObjectStore.start();
  });
  beforeEach(async () => {
    const PENSTOCK_DATA = join(folder, randomBytes(4).toString('hex'));
    settings = readSettings({ PENSTOCK_DATA, ...store?.newPlace().env });
    storage = await openStorage(settings);
  });
  afterAll(async () => {
    await store?.stop();
    await rm(folder, { recursive: true });
  });

  /** On this machine; in an object store they are never seen. */
  const temporaryFiles = () => readdir(join(settings.dataDir, store ? 'spool' : 'storage/tmp'));

  async function keys(prefix: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { key } of storage.list(prefix)) found.push(key);
    return found.sort();
  }

  it.each([
    ['small', small],
    ['large', large],
    ['empty', Buffer.alloc(0)],
  ])('keeps a %s file under its key', async (_name, bytes) => {
    const before = Date.now();
    await put(storage, 'artifact/ab/cdef', bytes);
    await storage.flush();

    expect(await storage.sizeOf('artifact/ab/cdef')).toBe(bytes.length);
    const found = await storage.find('artifact/ab/cdef');
    expect(found).toMatchObject({ key: 'artifact/ab/cdef', size: bytes.length });
    expect(Math.abs((found?.modifiedAt.getTime() ?? 0) - before)).toBeLessThan(60_000);
    expect((await buffer(storage.read('artifact/ab/cdef'))).equals(bytes)).toBe(true);
    expect((await storage.readAll('artifact/ab/cdef')).equals(bytes)).toBe(true);
    expect(await temporaryFiles()).toEqual([]);
  });

  it.each(['commit', 'discard'] as const)('lets what is written be read along, also after %s', async (end) => {
    for (const pieces of [[small, small], Array<Buffer>(50).fill(Buffer.from('0123456789'.repeat(2_000)))]) {
      const writer = storage.create();
      const along = writer.readBack();
      const all = Buffer.concat(pieces);
      const read = async (from: number, to: number) => {
        const parts: Uint8Array[] = [];
        for (let at = from; at < to; at += parts.at(-1)?.byteLength ?? 0) parts.push(await along.read(at, to - at));
        return Buffer.concat(parts);
      };
      let written = 0;
      for (const piece of pieces) {
        await writer.write(piece);
        written += piece.length;
        expect((await read(0, written)).equals(all.subarray(0, written))).toBe(true);
      }
      await (end === 'commit' ? writer.commit('artifact/ab/along') : writer.discard());
      expect((await read(3, written)).equals(all.subarray(3))).toBe(true);
      along.close();
      expect(await temporaryFiles()).toEqual([]);
    }
  });

  it('reads a range, both ends inclusive', async () => {
    await put(storage, 'artifact/ab/cdef', small);
    expect((await buffer(storage.read('artifact/ab/cdef', { start: 2, end: 6 }))).toString()).toBe('small');
    await put(storage, 'artifact/ab/large', large);
    const range = { start: 9_999_990, end: 10_000_009 };
    expect(await buffer(storage.read('artifact/ab/large', range))).toEqual(large.subarray(9_999_990, 10_000_010));
  });

  it('lets a reader go that has read enough', async () => {
    await put(storage, 'artifact/ab/cdef', large);
    for await (const chunk of storage.read('artifact/ab/cdef')) {
      expect((chunk as Buffer).length).toBeGreaterThan(0);
      break;
    }
    expect((await buffer(storage.read('artifact/ab/cdef'))).equals(large)).toBe(true);
  });

  it.each([
    ['small', small],
    ['large', large],
  ])('shows nothing of a %s file under the final name until it is whole', async (_name, bytes) => {
    const writer = storage.create();
    await write(writer, bytes);
    expect(await storage.sizeOf('artifact/ab/cdef')).toBeUndefined();
    await writer.discard();
    await writer.discard();
    expect(await temporaryFiles()).toEqual([]);
    expect(await storage.sizeOf('artifact/ab/cdef')).toBeUndefined();
  });

  it('says of what is not there that it is not', async () => {
    const missing = 'artifact/ab/cdef';
    expect(await storage.sizeOf(missing)).toBeUndefined();
    expect(await storage.find(missing)).toBeUndefined();
    await expect(buffer(storage.read(missing))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(storage.readAll(missing)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await keys('artifact')).toEqual([]);
  });

  it('takes the same key twice, and what was written last', async () => {
    await Promise.all([put(storage, 'artifact/ab/cdef', small), put(storage, 'artifact/ab/cdef', small)]);
    expect(await storage.sizeOf('artifact/ab/cdef')).toBe(small.length);
    const mended = Buffer.from('another file');
    await put(storage, 'artifact/ab/cdef', mended);
    expect(await storage.readAll('artifact/ab/cdef')).toEqual(mended);
  });

  it('removes one file, or a folder, and does not mind what is not there', async () => {
    await put(storage, 'metadata/1/a', small);
    await put(storage, 'metadata/1/b', small);
    await put(storage, 'metadata/12/a', small);

    await storage.remove('metadata/1/a');
    await storage.remove('metadata/1/a');
    expect(await storage.sizeOf('metadata/1/a')).toBeUndefined();
    await storage.removeAll('metadata/1');
    await storage.removeAll('metadata/1');
    expect(await storage.sizeOf('metadata/1/b')).toBeUndefined();
    expect(await storage.sizeOf('metadata/12/a')).toBe(small.length);
  });

  it('moves a file over another one, and does not mind one that is not there', async () => {
    await put(storage, 'artifact/ab/cdef', small);
    await put(storage, 'corrupted/abcdef', large);
    await storage.move('artifact/ab/cdef', 'corrupted/abcdef');
    expect(await keys('')).toEqual(['corrupted/abcdef']);
    expect(await storage.readAll('corrupted/abcdef')).toEqual(small);
    await storage.move('artifact/ab/cdef', 'corrupted/abcdef');
    expect(await storage.readAll('corrupted/abcdef')).toEqual(small);
  });

  it('lists what lies below a folder, and not beside it', async () => {
    for (const key of ['metadata/1/a', 'metadata/1/b', 'metadata/12/a']) await put(storage, key, small);
    expect(await keys('metadata/1')).toEqual(['metadata/1/a', 'metadata/1/b']);
    expect(await keys('metadata/2')).toEqual([]);
    expect(await keys('')).toEqual(['metadata/1/a', 'metadata/1/b', 'metadata/12/a']);
    expect(() => storage.list('../outside')).toThrow(InvalidStorageKey);
  });

  it('can be looked at by one who writes nothing', async () => {
    await put(storage, 'metadata/1/a', small);
    const reader = await openStorageForReading(settings);
    expect(await reader.readAll('metadata/1/a')).toEqual(small);
  });

  it.each(['../outside', '/etc/passwd', 'artifact/../../x', 'artifact//x', '', 'a\0b', 'a\\b', 'tmp/x', 'a/./b'])(
    'refuses the key %j',
    async (key) => {
      await expect(put(storage, key, small)).rejects.toThrow(InvalidStorageKey);
      await expect(storage.sizeOf(key)).rejects.toThrow(InvalidStorageKey);
      expect(() => storage.read(key)).toThrow(InvalidStorageKey);
      await expect(storage.removeAll(key)).rejects.toThrow(InvalidStorageKey);
      expect(await temporaryFiles()).toEqual([]);
    },
  );
});
