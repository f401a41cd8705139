import { PenstockError } from '../errors';

/** Versions that may be deleted under one request. */
const mostAttempts = 5;

/** A version was deleted after it was found: its contents are another one's by now, and what its distribution serves has changed. */
export class VersionGone extends PenstockError {
  override readonly transient = true;

  constructor(repositoryId: string, number: number) {
    super(`Version ${number} of repository ${repositoryId} was deleted while it was read. Ask again.`, {
      found: String(number),
    });
  }
}

/**
 * Begins again where a version is deleted between two look-ups.
 *
 * @param work - looks everything up anew each time
 * @throws {@link VersionGone} where that happens again and again
 */
export async function inOneVersion(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (!(error instanceof VersionGone) || attempt === mostAttempts) throw error;
    }
  }
}
