import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { readSettings } from '../../src/settings';
import { S3Storage } from '../../src/storage/s3-storage';
import type { Storage } from '../../src/storage/storage';
import { StorageError } from '../../src/storage/storage-error';
import { StorageFull } from '../../src/storage/storage-full';
import type { S3Place } from '../../src/storage/storage-place';
import { ObjectStore } from '../services/object-store';

const MIB = 1024 ** 2;
const large = randomBytes(20 * MIB);

let store: ObjectStore;
let root: string;
let spool: string;
let place: S3Place;
let folder: string;

beforeAll(async () => {
  store = await ObjectStore.start();
  root = await mkdtemp(join(tmpdir(), 'penstock-s3-'));
});
afterAll(async () => {
  await store.stop();
  await rm(root, { recursive: true });
});
beforeEach(() => {
  spool = join(root, randomBytes(4).toString('hex'));
  const fresh = store.newPlace();
  folder = fresh.folder;
  place = placeOf(fresh.env);
});

function placeOf(env: Record<string, string>): S3Place {
  const { storage } = readSettings(env);
  if (storage.kind !== 's3') throw new Error('That is no object store.');
  return storage;
}

async function put(storage: Storage, key: string, bytes: Buffer): Promise<void> {
  const writer = storage.create();
  await writer.write(bytes);
  await writer.commit(key);
}

const errorOf = (failing: Promise<unknown>): Promise<unknown> =>
  failing.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('the storage in an object store', () => {
  it('moves what is too large for one copy in parts', async () => {
    const storage = await S3Storage.open(place, spool, { whole: 8 * MIB, part: 6 * MIB });
    await put(storage, 'artifact/ab/cdef', large);
    await storage.move('artifact/ab/cdef', 'corrupted/abcdef');
    expect((await storage.readAll('corrupted/abcdef')).equals(large)).toBe(true);
    expect(await storage.sizeOf('artifact/ab/cdef')).toBeUndefined();
  });

  it('lists and removes more than one page', async () => {
    const storage = await S3Storage.open(place, spool);
    await mkdir(join(folder, 'metadata/1'), { recursive: true });
    for (let index = 0; index < 1001; index += 1) fs.writeFileSync(join(folder, 'metadata/1', `${index}`), 'x');
    let found = 0;
    for await (const { size } of storage.list('metadata')) found += size;
    expect(found).toBe(1001);
    await storage.removeAll('metadata/1');
    for await (const { key } of storage.list('')) throw new Error(`${key} is left.`);
  });

  it('gives a url to read a file from, with its type and its name, for a time', async () => {
    const storage = await S3Storage.open(place, spool);
    await put(storage, 'artifact/ab/cdef', Buffer.from('content'));
    const use = { contentType: 'text/x-test', filename: 'a "file"\r\n; é\ud800.txt', expiresIn: 60 };
    const url = await storage.urlOf('artifact/ab/cdef', use);
    const response = await fetch(url, { headers: { range: 'bytes=1-3' } });
    expect(response.status).toBe(206);
    expect(await response.text()).toBe('ont');
    expect(response.headers.get('content-type')).toBe('text/x-test');
    expect(response.headers.get('content-disposition')).toBe(
      "inline; filename*=UTF-8''a%20%22file%22%0D%0A%3B%20%C3%A9%EF%BF%BD.txt",
    );
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('60');
    const forged = url.replace('cdef', 'cdee');
    expect((await fetch(forged)).status).toBe(403);
  });

  it('removes from its spool what a crash left long ago', async () => {
    await mkdir(spool);
    await writeFile(join(spool, 'old'), 'x');
    await writeFile(join(spool, 'new'), 'x');
    const longAgo = new Date(Date.now() - 48 * 3_600_000);
    await utimes(join(spool, 'old'), longAgo, longAgo);
    await S3Storage.open(place, spool);
    expect(await readdir(spool)).toEqual(['new']);
  });
});

describe('an object store that is killed', () => {
  afterEach(() => store.startAgain());

  it('is unreachable, shows nothing of what was being uploaded, and is used again once it is back', async () => {
    const storage = await S3Storage.open(place, spool);
    await put(storage, 'artifact/ab/before', large);
    const reading = storage.read('artifact/ab/before');
    await new Promise((resolve) => reading.once('readable', resolve));
    const uploading = errorOf(put(storage, 'artifact/ab/cdef', large));
    await store.kill();
    const failed = {
      upload: await uploading,
      look: await errorOf(storage.sizeOf('artifact/ab/before')),
      read: await errorOf(buffer(reading)),
    };
    for (const error of Object.values(failed))
      expect(error).toMatchObject({ name: 'StorageUnreachable', transient: true });
    expect(await readdir(spool)).toEqual([]);
    expect(fs.existsSync(join(folder, 'artifact/ab/cdef'))).toBe(false);

    await store.startAgain();
    expect(await storage.sizeOf('artifact/ab/cdef')).toBeUndefined();
    await put(storage, 'artifact/ab/cdef', large);
    expect((await storage.readAll('artifact/ab/cdef')).equals(large)).toBe(true);
    await store.kill();
  });
});

describe('the errors of an object store', () => {
  let answer: { status: number; code?: string };
  let server: Server;
  let requests: string[];
  const own = { ...process.env };

  beforeEach(async () => {
    requests = [];
    server = createServer((request, response) => {
      requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
      request.resume();
      const { code, status } = answer;
      response.writeHead(request.method === 'HEAD' && code === 'later' ? 200 : status);
      response.end(code && request.method !== 'HEAD' ? `<Error><Code>${code}</Code><Message>no</Message></Error>` : '');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    process.env.AWS_ENDPOINT_URL_S3 = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
    process.env = { ...own, ...store.env };
  });

  it.each([
    [404, 'NoSuchBucket', 'BucketMissing', 'create it'],
    [403, 'AccessDenied', 'StorageAccessDenied', 's3:ListBucket'],
    [301, 'PermanentRedirect', 'WrongRegion', 'AWS_REGION'],
    [400, 'AuthorizationHeaderMalformed', 'WrongRegion', 'AWS_REGION'],
    [400, 'ExpiredToken', 'CredentialsRefused', 'AWS_ACCESS_KEY_ID'],
    [403, 'SignatureDoesNotMatch', 'CredentialsRefused', 'AWS_ACCESS_KEY_ID'],
    [507, 'InsufficientStorage', 'StorageFull', 'Free space'],
    [403, 'QuotaExceeded', 'StorageFull', 'quota'],
    [400, 'InvalidRequest', 'StorageRefused', 'S3-compatible'],
  ])('say of %d %s that it is %s, and what to do', async (status, code, name, advice) => {
    answer = { status, code };
    const storage = S3Storage.forReading(place);
    const error = await errorOf(storage.removeAll('metadata/1'));
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ name, transient: error instanceof StorageFull });
    expect((error as Error).message).toContain(advice);
    expect(JSON.stringify(error)).not.toContain(store.env.AWS_SECRET_ACCESS_KEY);
  });

  it('are tried again where the store is busy, and not for ever', async () => {
    answer = { status: 500, code: 'InternalError' };
    const error = await errorOf(S3Storage.forReading(place).removeAll('metadata/1'));
    expect(error).toMatchObject({ name: 'StorageUnreachable', transient: true });
    expect(requests).toHaveLength(5);
  });

  it('are told when the storage is opened, as far as a HEAD tells them', async () => {
    answer = { status: 404 };
    expect(await errorOf(S3Storage.open(place, spool))).toMatchObject({ name: 'BucketMissing' });
    answer = { status: 403 };
    expect(await errorOf(S3Storage.open(place, spool))).toMatchObject({ name: 'StorageAccessDenied' });
    expect(fs.existsSync(spool)).toBe(false);
  });

  it('are told of credentials and of a region that are not there', async () => {
    answer = { status: 200 };
    process.env.AWS_EC2_METADATA_DISABLED = 'true';
    process.env.AWS_CONFIG_FILE = process.env.AWS_SHARED_CREDENTIALS_FILE = join(root, 'none');
    delete process.env.AWS_ACCESS_KEY_ID;
    expect(await errorOf(S3Storage.forReading(place).sizeOf('a'))).toMatchObject({ name: 'CredentialsRefused' });
    process.env.AWS_ACCESS_KEY_ID = 'penstock';
    delete process.env.AWS_REGION;
    expect(await errorOf(S3Storage.forReading(place).sizeOf('a'))).toMatchObject({ name: 'WrongRegion' });
    expect(requests).toEqual([]);
  });

  it('abort an upload in parts where one of them fails', async () => {
    answer = { status: 403, code: 'later' };
    const storage = await S3Storage.open(place, spool);
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      requests.push(`${request.method ?? ''} ${(request.url ?? '').replace(/^.*\?/, '')}`);
      request.resume();
      request.once('end', () => {
        const begun = '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>';
        if (request.method === 'PUT') response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
        else response.writeHead(request.method === 'DELETE' ? 204 : 200).end(request.method === 'POST' ? begun : '');
      });
    });
    const error = await errorOf(put(storage, 'artifact/ab/cdef', large));
    expect(error).toMatchObject({ name: 'StorageAccessDenied' });
    expect(requests.at(-1)).toMatch(/^DELETE .*uploadId=u1/);
    expect(requests.filter((each) => each.startsWith('POST'))).toHaveLength(1);
    expect(await readdir(spool)).toEqual([]);
  });
});
