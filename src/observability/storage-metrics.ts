import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';

import type { Storage } from '../storage/storage';

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

  /** Asks the storage anew; where it does not answer, or cannot tell, there is no value. */
  async refresh(storage: Pick<Storage, 'room'>): Promise<void> {
    const found = await Promise.race([storage.room().catch(() => undefined), afterPatience()]);
    this.free.remove();
    this.size.remove();
    if (!found) return;
    this.free.set(found.free);
    this.size.set(found.total);
  }
}

function afterPatience(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, patience, undefined).unref();
  });
}
