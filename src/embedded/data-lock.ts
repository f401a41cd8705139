import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { asError } from '../errors';
import { DataFolderUnusable } from './errors';
import { identify, isRunning, type ProcessIdentity } from './process-table';

const NAME = /^owner\.(\d+)$/;
const DRAFT = /^owner\.draft-(\d+)-/;

/**
 * Who owns a data folder: one process at a time, and nobody after that process has ended, however it ended.
 *
 * Node offers no lock that the system releases, so the owner is written down: pid and start of the process, in a file
 * `owner.N`, which appears complete and only once (`link`). The owner is who stands in the file with the highest number. Who
 * takes over from an owner that is gone makes the next number, which only one can; numbers never go down, so that someone slow
 * cannot take over from the wrong one. Whoever runs elsewhere (another machine, another pid namespace) is not seen.
 */
export class DataLock {
  private constructor(
    private readonly folder: string,
    private readonly number: number,
  ) {}

  /**
   * Takes the lock.
   *
   * @returns the lock, or the process that owns it.
   * @throws {@link DataFolderUnusable} where this user cannot write.
   */
  static async take(folder: string): Promise<DataLock | ProcessIdentity> {
    const me = await identify(process.pid);
    const draft = join(folder, `owner.draft-${process.pid}-${Math.random().toString(36).slice(2)}`);
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(draft, JSON.stringify(me), { mode: 0o600 });
      for (;;) {
        const highest = await highestNumber(folder);
        const owner = await readOwner(folder, highest);
        if (owner) return owner;
        const taken = await link(draft, join(folder, `owner.${highest + 1}`)).then(
          () => true,
          (error: unknown) => {
            if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
            throw error;
          },
        );
        if (!taken) continue;
        if ((await highestNumber(folder)) === highest + 1) {
          await removeBelow(folder, highest + 1);
          return new DataLock(folder, highest + 1);
        }
        await rm(join(folder, `owner.${highest + 1}`), { force: true });
      }
    } catch (error) {
      throw new DataFolderUnusable(
        `The data folder ${folder} cannot be used: ${asError(error).message}. Set PENSTOCK_DATA to a folder that you may write to.`,
        { path: folder },
        { cause: error },
      );
    } finally {
      await rm(draft, { force: true }).catch(() => undefined);
    }
  }

  /** The process that owns the folder, if one does. */
  static async owner(folder: string): Promise<ProcessIdentity | undefined> {
    return readOwner(folder, await highestNumber(folder).catch(() => 0));
  }

  /** Gives the folder free; the file stays, so that the numbers go on. */
  async release(): Promise<void> {
    const path = join(this.folder, `owner.${this.number}`);
    await writeFile(`${path}.free`, '{}', { mode: 0o600 });
    await rename(`${path}.free`, path);
  }
}

async function highestNumber(folder: string): Promise<number> {
  const numbers = (await readdir(folder)).map((name) => Number(NAME.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

/** A file that cannot be read as an owner, after a crash of the machine say, names nobody. */
async function readOwner(folder: string, number: number): Promise<ProcessIdentity | undefined> {
  try {
    const { pid, started } = JSON.parse(await readFile(join(folder, `owner.${number}`), 'utf8')) as ProcessIdentity;
    if (typeof pid !== 'number' || typeof started !== 'string') return undefined;
    return (await isRunning({ pid, started })) ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

/** Removes what earlier owners left, and the drafts of processes that were killed while they took the lock. */
async function removeBelow(folder: string, number: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const older = Number(NAME.exec(name)?.[1] ?? number) < number;
    const drafter = Number(DRAFT.exec(name)?.[1] ?? 0);
    if (older || (drafter > 0 && !(await identify(drafter)))) await rm(join(folder, name), { force: true });
  }
}
