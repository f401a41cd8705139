import * as fs from 'node:fs';
import { rm } from 'node:fs/promises';

import { FileWriter } from './file-writer';
import { checkKey } from './storage-key';
import type { ReadableWriter, WrittenBytes } from './storage';

/**
 * Writes one file into a spool on the local disk, as its key is known only at its end, and uploads it whole. So nothing of it is
 * seen in the store before, and an upload can be tried again without fetching anything again.
 */
export class S3Writer implements ReadableWriter {
  readonly #file: FileWriter;
  readonly #whole: string;

  /**
   * @param temporary - the file's path in the spool
   * @param upload - puts a whole file under its key
   */
  constructor(
    temporary: string,
    private readonly upload: (key: string, path: string) => Promise<void>,
  ) {
    this.#whole = `${temporary}-whole`;
    this.#file = new FileWriter(temporary, fs, {
      pathOf: (key) => {
        checkKey(key);
        return this.#whole;
      },
      placed: () => undefined,
    });
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#file.write(chunk);
  }

  async commit(key: string): Promise<void> {
    await this.#file.commit(key);
    try {
      await this.upload(key, this.#whole);
    } finally {
      await rm(this.#whole, { force: true });
    }
  }

  readBack(): WrittenBytes {
    return this.#file.readBack();
  }

  discard(): Promise<void> {
    return this.#file.discard();
  }
}
