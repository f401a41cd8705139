import { setImmediate } from 'node:timers/promises';

import type { PoolClient } from 'pg';

import { artifactKey } from '../storage/storage';
import type { Storage } from '../storage/storage';

const lookedAtOnce = 100;

/** A file that the database says is stored. */
export interface StoredRow {
  readonly sha256: string | null;
  /** Bytes. */
  readonly size: number | null;
}

/** Of files that the database says are stored, the digests of those that are gone or have another size. */
export async function findLost(storage: Storage, rows: readonly StoredRow[]): Promise<string[]> {
  const sizes = new Map(rows.flatMap(({ sha256, size }) => (sha256 === null ? [] : [[sha256, size] as const])));
  const lost: string[] = [];
  const look = async ([sha256, size]: readonly [string, number | null]) => {
    if ((await storage.sizeOf(artifactKey(sha256))) !== size) lost.push(sha256);
  };
  const files = [...sizes];
  for (let from = 0; from < files.length; from += lookedAtOnce) {
    await Promise.all(files.slice(from, from + lookedAtOnce).map(look));
    // A file system that is slow to answer does not keep heartbeats back.
    await setImmediate();
  }
  return lost;
}

/** Lets the stages that follow take lost files for not stored: they are downloaded again. */
export async function forgetLost(client: PoolClient, batchId: string, lost: readonly string[]): Promise<void> {
  if (lost.length === 0) return;
  await client.query(
    `update staged_artifacts staged set artifact_id = null, stored_sha256 = null, stored_size = null
       from unnest($2::text[]) as lost (sha256) left join artifacts artifact on artifact.sha256 = lost.sha256
      where staged.batch_id = $1 and (staged.stored_sha256 = lost.sha256 or staged.artifact_id = artifact.id)`,
    [batchId, lost],
  );
}
