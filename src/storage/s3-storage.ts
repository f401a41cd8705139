import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';

import { asError } from '../errors';
import { removeLeftovers } from './file-storage';
import { connectS3 } from './s3-connection';
import { asS3Error, bucketMissing, isMissingObject } from './s3-errors';
import { moveObject, standardCopyLimits } from './s3-move';
import type { CopyLimits } from './s3-move';
import { S3Uploads } from './s3-upload';
import { S3Writer } from './s3-writer';
import type { ListedFile, ReadableWriter, Storage, UrlUse } from './storage';
import { StorageRefused } from './storage-error';
import { checkAnyKey, checkKey } from './storage-key';
import { describePlace } from './storage-place';
import type { S3Place } from './storage-place';

/** Keys that S3 removes by one request. */
const REMOVED_AT_ONCE = 1000;

/**
 * Storage in a bucket of an S3-compatible store: `s3://bucket/<prefix>/artifact/ab/cdef…`. An object is seen once it is whole,
 * and what the store has acknowledged is durable. Files that are being written lie in a spool folder of this machine.
 */
export class S3Storage implements Storage {
  readonly #uploads: S3Uploads;
  readonly #base: string;
  readonly #name = `${process.pid}-${randomBytes(6).toString('hex')}`;
  #count = 0;

  private constructor(
    private readonly place: S3Place,
    private readonly client: S3Client,
    private readonly spool: string,
    private readonly copyLimits: CopyLimits,
  ) {
    this.#uploads = new S3Uploads(client, place.bucket);
    this.#base = place.prefix === '' ? '' : `${place.prefix}/`;
  }

  /**
   * Opens a storage: looks whether the bucket is there, makes the spool folder and removes what a crash left in it more than a
   * day ago.
   *
   * @param spool - a folder, which several processes may share
   * @throws {@link StorageError}
   */
  static async open(place: S3Place, spool: string, copyLimits = standardCopyLimits): Promise<S3Storage> {
    const storage = new S3Storage(place, connectS3(place), spool, copyLimits);
    await storage.#requireBucket();
    await mkdir(spool, { recursive: true });
    await removeLeftovers(spool);
    return storage;
  }

  /** A storage for one who only looks: no folder is made and nothing is removed. */
  static forReading(place: S3Place): S3Storage {
    return new S3Storage(place, connectS3(place), '', standardCopyLimits);
  }

  create(): ReadableWriter {
    this.#count += 1;
    // What lies under a key already is replaced: whoever writes has looked before, or mends an object whose bytes are wrong.
    return new S3Writer(join(this.spool, `${this.#name}-${this.#count}`), (key, path) =>
      this.#asking(() => this.#uploads.upload(this.#base + key, path)),
    );
  }

  async sizeOf(key: string): Promise<number | undefined> {
    return (await this.#look(checkKey(key)))?.size;
  }

  async find(key: string): Promise<ListedFile | undefined> {
    return this.#look(checkAnyKey(key));
  }

  read(key: string, range?: { readonly start: number; readonly end: number }): Readable {
    const target = { ...this.#target(checkKey(key)), ...(range ? { Range: `bytes=${range.start}-${range.end}` } : {}) };
    const out = new PassThrough({ highWaterMark: 256 * 1024 });
    const left = new AbortController();
    out.once('close', () => {
      left.abort();
    });
    // Where the reader has left, nobody is told any more.
    const fail = (error: unknown) => {
      out.destroy(isMissingObject(error) ? this.#missing(key) : asError(asS3Error(error, this.place)));
    };
    this.client.send(new GetObjectCommand(target), { abortSignal: left.signal }).then(({ Body }) => {
      (Body as Readable).once('error', fail).pipe(out);
    }, fail);
    return out;
  }

  readAll(key: string): Promise<Buffer> {
    return buffer(this.read(key));
  }

  async urlOf(key: string, { contentType, filename, expiresIn }: UrlUse): Promise<string> {
    const command = new GetObjectCommand({
      ...this.#target(checkKey(key)),
      ResponseContentType: contentType,
      ...(filename === undefined ? {} : { ResponseContentDisposition: dispositionOf(filename) }),
    });
    return this.#asking(() => getSignedUrl(this.client, command, { expiresIn }));
  }

  list(prefix: string): AsyncIterable<ListedFile> {
    return this.#listed(prefix === '' ? '' : `${checkAnyKey(prefix)}/`);
  }

  async move(key: string, to: string): Promise<void> {
    const keys = [this.#base + checkKey(key), this.#base + checkKey(to)] as const;
    await this.#asking(() => moveObject(this.client, this.place.bucket, keys, this.copyLimits));
  }

  async remove(key: string): Promise<void> {
    const target = this.#target(checkAnyKey(key));
    await this.#asking(() => this.client.send(new DeleteObjectCommand(target)));
  }

  async removeAll(prefix: string): Promise<void> {
    let keys: string[] = [];
    for await (const { key } of this.list(checkKey(prefix))) {
      keys.push(key);
      if (keys.length < REMOVED_AT_ONCE) continue;
      await this.#removeKeys(keys);
      keys = [];
    }
    if (keys.length > 0) await this.#removeKeys(keys);
  }

  /** Nobody can tell: a bucket has no size. */
  room(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  #target(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.place.bucket, Key: this.#base + key };
  }

  async #look(key: string): Promise<ListedFile | undefined> {
    const command = new HeadObjectCommand(this.#target(key));
    const found = await this.#asking(() =>
      this.client.send(command).catch((error: unknown) => {
        if (isMissingObject(error)) return undefined;
        throw error;
      }),
    );
    return found && { key, size: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) };
  }

  async *#listed(prefix: string): AsyncGenerator<ListedFile> {
    const where = { Bucket: this.place.bucket, Prefix: this.#base + prefix };
    const pages = paginateListObjectsV2({ client: this.client }, where)[Symbol.asyncIterator]();
    for (;;) {
      const page = await this.#asking(() => pages.next());
      if (page.done) return;
      for (const { Key = '', Size: size = 0, LastModified: modifiedAt = new Date(0) } of page.value.Contents ?? []) {
        // What ends so is no file, but what consoles make for a folder.
        if (!Key.endsWith('/')) yield { key: Key.slice(this.#base.length), size, modifiedAt };
      }
    }
  }

  async #removeKeys(keys: readonly string[]): Promise<void> {
    const Objects = keys.map((key) => ({ Key: this.#base + key }));
    const command = new DeleteObjectsCommand({ Bucket: this.place.bucket, Delete: { Objects, Quiet: true } });
    const { Errors: [first] = [] } = await this.#asking(() => this.client.send(command));
    if (!first) return;
    const { Key = '', Code = '', Message = '' } = first;
    throw new StorageRefused(`${Key} could not be removed from ${describePlace(this.place)}: ${Code} ${Message}`, {
      path: Key,
      found: Code,
    });
  }

  async #requireBucket(): Promise<void> {
    const { bucket } = this.place;
    await this.#asking(() =>
      this.client.send(new HeadBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
        throw isMissingObject(error) ? bucketMissing(this.place) : error;
      }),
    );
  }

  /** @throws {@link StorageError} for what the SDK throws */
  async #asking<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw asS3Error(error, this.place);
    }
  }

  /** As a file system says it. */
  #missing(key: string): Error {
    const path = `${describePlace(this.place)}/${key}`;
    return Object.assign(new Error(`ENOENT: no such object, read '${path}'`), { code: 'ENOENT', path });
  }
}

/** RFC 6266 with the encoding of RFC 8187: any name, and nothing that could end the header. */
function dispositionOf(filename: string): string {
  const encoded = encodeURIComponent(Buffer.from(filename).toString()).replace(
    /['()*]/g,
    (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `inline; filename*=UTF-8''${encoded}`;
}
