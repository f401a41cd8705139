import { rm } from 'node:fs/promises';

/** Ends what `start.ts` has started, after the last test. */
export default async function stopTestServices(): Promise<void> {
  const started = globalThis.penstockTestServices;
  if (!started) return;
  await started.services.stop();
  started.unwatch();
  await rm(started.dataDir, { recursive: true, force: true });
  globalThis.penstockTestServices = undefined;
}
