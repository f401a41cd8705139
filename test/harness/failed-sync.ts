import { expect } from '@jest/globals';

import type { SyncRepositoryInput } from '../../workflows/sync-repository';
import { FailedSync } from './penstock';
import type { Penstock } from './penstock';

/**
 * Runs a sync that has to fail: the error names the repository, readers see the versions that they saw before, and the next
 * sync can go on.
 */
export async function failSync(
  penstock: Penstock,
  repository: string,
  options: Partial<SyncRepositoryInput> = {},
): Promise<FailedSync> {
  const before = await penstock.versionsOf(repository);
  const failed = await penstock.sync(repository, options).then(
    (result) => {
      throw new Error(`The sync has succeeded: ${JSON.stringify(result)}`);
    },
    (error: unknown) => error,
  );
  if (!(failed instanceof FailedSync)) throw failed;
  expect(failed.message).toContain(`epository "${repository}"`);
  expect(failed.details).toMatchObject({ repository, transient: failed.transient });
  expect(await penstock.versionsOf(repository)).toEqual(before);
  return failed;
}
