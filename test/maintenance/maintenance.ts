import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { WorkflowHandle } from '@temporalio/client';
import { expect } from '@jest/globals';

import { artifactKey } from '../../src/storage/storage';
import type { CleaningProgress } from '../../src/cleaning/cleaning';
import type { DownloadProgress } from '../../src/fetching/version-download';
import type { ReclaimProgress } from '../../src/reclaiming/reclaim';
import type { RepairProgress } from '../../src/repairing/repair';
import type { CleanStorageInput } from '../../workflows/clean-storage';
import type { DownloadVersionInput } from '../../workflows/download-version';
import type { ReclaimStorageInput } from '../../workflows/reclaim-storage';
import type { RepairArtifactsInput } from '../../workflows/repair-artifacts';
import { inspect } from '../consistency/inspection';
import { sha256 } from '../harness/file-repository';
import type { Penstock } from '../harness/penstock';

export async function startRepair(
  { client, settings }: Penstock,
  options: Partial<RepairArtifactsInput> = {},
): Promise<WorkflowHandle> {
  return client.workflow.start('repairArtifacts', {
    workflowId: `repair/${settings.taskQueue}`,
    taskQueue: settings.taskQueue,
    args: [{ repository: null, missingOnly: false, restart: false, ...options }],
  });
}

/** Repairs, and returns what that has come to. */
export async function repair(
  penstock: Penstock,
  options: Partial<RepairArtifactsInput> = {},
): Promise<Omit<RepairProgress, 'repairId' | 'checkedBytes'>> {
  const handle = await startRepair(penstock, options);
  const { over, total, checked, lost, rotten, mended, failed } = (await handle.result()) as RepairProgress;
  return { over, total, checked, lost, rotten, mended, failed };
}

export async function startCleaning(
  { client, settings }: Penstock,
  options: Partial<CleanStorageInput> = {},
): Promise<WorkflowHandle> {
  return client.workflow.start('cleanStorage', {
    workflowId: `clean/${settings.taskQueue}`,
    taskQueue: settings.taskQueue,
    args: [{ protectionSeconds: 0, dryRun: false, ...options }],
  });
}

/** Cleans, without any protection unless said otherwise, and returns what was freed. */
export async function clean(
  penstock: Penstock,
  options: Partial<CleanStorageInput> = {},
): Promise<Pick<CleaningProgress, 'contents' | 'artifacts' | 'files' | 'bytes'>> {
  const { contents, artifacts, files, bytes } = (await (
    await startCleaning(penstock, options)
  ).result()) as CleaningProgress;
  return { contents, artifacts, files, bytes };
}

/** Ids carry the task queue, as the namespace is shared with other tests. */
export async function startDownload(
  { client, settings }: Penstock,
  options: Partial<DownloadVersionInput> = {},
): Promise<WorkflowHandle> {
  const input: DownloadVersionInput = { repository: 'files', version: null, filters: [], ...options };
  return client.workflow.start('downloadVersion', {
    workflowId: `download/${settings.taskQueue}/${input.repository}`,
    taskQueue: settings.taskQueue,
    args: [input],
  });
}

/** Fetches what is deferred, and returns what that has come to. */
export async function download(
  penstock: Penstock,
  options: Partial<DownloadVersionInput> = {},
): Promise<Pick<DownloadProgress, 'total' | 'fetched' | 'failed'>> {
  const handle = await startDownload(penstock, options);
  const { total, fetched, failed } = (await handle.result()) as DownloadProgress;
  return { total, fetched, failed };
}

export async function startReclaim(
  { client, settings }: Penstock,
  options: Partial<ReclaimStorageInput> = {},
): Promise<WorkflowHandle> {
  const input: ReclaimStorageInput = { repository: 'files', keepVersions: [], dryRun: false, ...options };
  return client.workflow.start('reclaimStorage', {
    workflowId: `reclaim/${settings.taskQueue}/${input.repository}`,
    taskQueue: settings.taskQueue,
    args: [input],
  });
}

/** Reclaims, and returns what that has freed. */
export async function reclaim(
  penstock: Penstock,
  options: Partial<ReclaimStorageInput> = {},
): Promise<Pick<ReclaimProgress, 'contents' | 'artifacts' | 'files' | 'bytes'>> {
  const { contents, artifacts, files, bytes } = (await (
    await startReclaim(penstock, options)
  ).result()) as ReclaimProgress;
  return { contents, artifacts, files, bytes };
}

/** Where the file of an artifact with this content lies. */
export function storedAt({ storageDir }: Penstock, content: string): string {
  return join(storageDir, artifactKey(sha256(content)));
}

/** Flips a bit of a stored file, whose size stays. */
export async function rot(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
  await writeFile(path, bytes);
}

/** Checks everything, and reads every file. */
export async function expectWhole(penstock: Penstock): Promise<void> {
  expect((await inspect(penstock, { deep: true, olderThan: 24 })).problems).toEqual([]);
}
