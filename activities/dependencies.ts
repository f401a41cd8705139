import type { DownloadPools } from '../src/downloads/download-pool';
import type { Database } from '../src/models/database';
import type { SecretBox } from '../src/models/remote-secrets';
import type { WorkerMetrics } from '../src/observability/worker-metrics';
import type { PluginRegistry } from '../src/plugins';
import type { Settings } from '../src/settings';
import type { Storage } from '../src/storage/storage';

/** What activities work with; a worker makes them once, tests give others. */
export interface ActivityDependencies {
  readonly database: Database;
  readonly storage: Storage;
  readonly plugins: PluginRegistry;
  readonly secrets: SecretBox;
  readonly settings: Settings;
  readonly pools: DownloadPools;
  readonly metrics: WorkerMetrics;
  /** Units of a batch at most; absent: as many as are fast. */
  readonly batchUnits?: number;
}
