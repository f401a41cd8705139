import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';

import { ByteBudget } from './byte-budget';

const MIB = 1024 ** 2;

/** Bytes of a file that is uploaded by one request, and of a part otherwise: S3 takes none below 5 MiB. */
const PART_BYTES = 8 * MIB;
/** S3's own limit. */
const MOST_PARTS = 10_000;
/** Parts of a file that are under way at once. */
const PARTS_AT_ONCE = 2;
/** Bytes of all uploads that are in memory at once. */
const MEMORY_BYTES = 64 * MIB;

/** Uploads files, within a bound on memory: parts are kept until the store has them, so that each can be sent again. */
export class S3Uploads {
  readonly #memory = new ByteBudget(MEMORY_BYTES);

  constructor(
    private readonly client: S3Client,
    private readonly bucket: string,
  ) {}

  /**
   * Puts a file under its key. A large one goes in parts, which are thrown away where one of them fails, and becomes an object
   * with the last request.
   */
  async upload(key: string, path: string): Promise<void> {
    const { size } = await stat(path);
    const target = { Bucket: this.bucket, Key: key, ContentType: 'application/octet-stream' };
    if (size <= PART_BYTES) {
      await this.#memory.spend(size, async () => {
        await this.client.send(new PutObjectCommand({ ...target, Body: await readFile(path) }));
      });
      return;
    }
    const partSize = Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS));
    // One part more is being read.
    await this.#memory.spend((PARTS_AT_ONCE + 1) * partSize, async () => {
      const body = createReadStream(path, { highWaterMark: MIB });
      try {
        const params = { ...target, Body: body };
        await new Upload({ client: this.client, params, partSize, queueSize: PARTS_AT_ONCE }).done();
      } finally {
        body.destroy();
      }
    });
  }
}
