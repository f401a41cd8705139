import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

import { inLanes } from '../lanes';

const run = promisify(execFile);

/** Files that are synced at once where each has to be synced for itself. */
const FILES_AT_ONCE = 16;

/**
 * Brings what was stored to the disk. For 1,000 files of 1 KiB on ext4, `sync -f` (syncfs(2) of the one file system)
 * took 12–22 ms, an fdatasync for each file 90 ms and its folders' on top; so files are synced one by one only where there is no
 * `sync -f` (macOS, Windows).
 *
 * At most one run is under way. What is asked for meanwhile waits for one more run, together: a run that began before
 * a file was renamed need not contain it.
 */
export class DiskFlush {
  #paths = new Set<string>();
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(
    private readonly root: string,
    private readonly wholeFileSystem: boolean,
  ) {}

  /** Whether `sync -f` can be used for a folder. */
  static async syncsFileSystem(root: string): Promise<boolean> {
    if (process.platform !== 'linux') return false;
    return run('sync', ['-f', root]).then(
      () => true,
      () => false,
    );
  }

  /** Notes a file that will be put in place. */
  add(path: string): void {
    if (!this.wholeFileSystem) this.#paths.add(path);
  }

  flush(): Promise<void> {
    if (!this.#running) return this.#begin();
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<void> {
    this.#running = this.#sync().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #sync(): Promise<void> {
    if (this.wholeFileSystem) {
      await run('sync', ['-f', this.root]);
      return;
    }
    const paths = this.#paths;
    this.#paths = new Set();
    try {
      await syncAll(paths);
      // A rename is safe once the folder is, and a new folder once the one above it is.
      const folders = new Set<string>();
      for (const path of paths) {
        for (let folder = dirname(path); folder.startsWith(this.root); folder = dirname(folder)) folders.add(folder);
      }
      await syncAll(folders);
    } catch (error) {
      for (const path of paths) this.#paths.add(path);
      throw error;
    }
  }
}

async function syncAll(paths: ReadonlySet<string>): Promise<void> {
  await inLanes(paths, FILES_AT_ONCE, syncOne);
}

/** What was removed meanwhile needs no sync, and some platforms cannot sync a folder. */
async function syncOne(path: string): Promise<void> {
  try {
    const file = await open(path, 'r');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EISDIR' && code !== 'EPERM' && code !== 'EINVAL') throw error;
  }
}
