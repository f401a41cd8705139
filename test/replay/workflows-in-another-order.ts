import { proxyActivities, sleep } from '@temporalio/workflow';

const { openVersion } = proxyActivities<{ openVersion(): Promise<void> }>({ startToCloseTimeout: '1 minute' });

/** Waits before it opens a version, which no recorded sync did: a deliberate non-determinism. */
export async function syncRepository(): Promise<void> {
  await sleep('1 second');
  await openVersion();
}
