import { statfs } from 'node:fs/promises';

import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';

/** Milliseconds that a file system, perhaps one of the network, has to answer. */
const patience = 1000;

/** How much room there is where files are stored. */
export class StorageMetrics {
  private readonly free: Gauge;
  private readonly size: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.free = new Gauge({
      name: 'penstock_storage_free_bytes',
      help: 'Bytes that may still be written to the file system of the storage.',
      registers,
    });
    this.size = new Gauge({
      name: 'penstock_storage_size_bytes',
      help: 'Bytes of the file system of the storage.',
      registers,
    });
  }

  /** Asks the file system anew; where it does not answer, there is no value. */
  async refresh(folder: string): Promise<void> {
    const found = await Promise.race([statfs(folder).catch(() => undefined), afterPatience()]);
    this.free.remove();
    this.size.remove();
    if (!found) return;
    this.free.set(found.bavail * found.bsize);
    this.size.set(found.blocks * found.bsize);
  }
}

function afterPatience(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, patience, undefined).unref();
  });
}
