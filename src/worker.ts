import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

import type { WorkerDeploymentVersion } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import type { NativeConnection, State, WorkflowBundleOption } from '@temporalio/worker';

import { createActivities } from '../activities';
import { ErrorInterceptor, HeartbeatInterceptor } from '../activities/interceptors';
import { ActivityObserver } from '../activities/observer';
import { SyncRepositories } from '../activities/sync-repositories';
import { deploymentOptions, versionOf } from './deployment';
import { DownloadPools } from './downloads/download-pool';
import { openDatabase } from './models/database';
import type { Database } from './models/database';
import { openSecretBox } from './models/remote-secrets';
import type { Tracing } from './observability/tracing';
import { WorkerMetrics } from './observability/worker-metrics';
import { PluginRegistry } from './plugins';
import type { Settings } from './settings';
import { openStorage } from './storage/open-storage';
import type { Storage } from './storage/storage';

/** The workflows' code as it was bundled when Penstock was built: a worker that bundles at its start is slow, and large. */
export const builtWorkflowBundle: WorkflowBundleOption = { codePath: join(__dirname, '..', 'workflow-bundle.js') };

/** What a worker needs from outside. */
export interface WorkerOptions {
  readonly settings: Settings;
  readonly databaseUrl: string;
  /** Absent: the worker opens `databaseUrl` for itself. The models are bound to one database in a process, so one that has it open gives it. */
  readonly database?: Database;
  /** Absent: the one that the settings name. */
  readonly storage?: Storage;
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** Absent: what is counted is not shown. */
  readonly metrics?: WorkerMetrics;
  /** Absent: no spans. */
  readonly tracing?: Tracing | undefined;
  readonly plugins?: PluginRegistry;
  readonly workflowBundle?: WorkflowBundleOption;
  /** Workflows that stay in memory between their tasks, where others are replayed; absent: as many as there is memory for. */
  readonly maxCachedWorkflows?: number;
  /** Units of a batch at most; absent: as many as are fast. */
  readonly batchUnits?: number;
}

/** A worker that runs syncs until it is told to stop. */
export interface SyncWorker {
  /** The version of a deployment that it is; absent where versioning is off. */
  readonly version: WorkerDeploymentVersion | undefined;
  /** Polls and works; resolves after {@link stop}, once what is under way has ended or was given back. */
  run(): Promise<void>;
  stop(): void;
  /** As Temporal's SDK names it; `RUNNING`: it polls. */
  readonly state: State;
}

/** Makes a worker. Nothing runs until its `run` is called. */
export async function createWorker(options: WorkerOptions): Promise<SyncWorker> {
  const { settings, connection, namespace, tracing, plugins = new PluginRegistry() } = options;
  const { metrics = new WorkerMetrics() } = options;
  // Where a machine has much memory, V8 lets garbage pile up before it collects the old generation; what is live stays small.
  // With 20 % a tenth of the worker's time went into collecting it.
  setFlagsFromString('--heap-growing-percent=35');
  const database = options.database ?? openDatabase(options.databaseUrl);
  const storage = options.storage ?? (await openStorage(settings));
  const pools = new DownloadPools();
  metrics.watchPools(pools);
  const repositories = new SyncRepositories(database);
  const { workflowBundle = builtWorkflowBundle, maxCachedWorkflows, batchUnits } = options;
  const { versioning } = settings;
  const version = versioning && (await versionOf(versioning, workflowBundle));
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: settings.taskQueue,
    workflowBundle,
    ...(maxCachedWorkflows === undefined ? {} : { maxCachedWorkflows }),
    ...(versioning && version ? deploymentOptions(versioning, version) : {}),
    activities: createActivities({
      database,
      storage,
      plugins,
      secrets: openSecretBox(settings),
      settings,
      pools,
      metrics,
      ...(batchUnits === undefined ? {} : { batchUnits }),
    }),
    interceptors: {
      // The first is the outermost.
      activity: [
        () => ({ inbound: new HeartbeatInterceptor() }),
        (context) => {
          const observer = new ActivityObserver(context, { repositories, metrics, tracing });
          return { inbound: observer, outbound: observer };
        },
        () => ({ inbound: new ErrorInterceptor(repositories) }),
      ],
    },
    // Most of a slow sync's activities only wait for upstream; those of the others must not wait for them.
    maxConcurrentActivityTaskExecutions: 100,
    // A cancellation, or a lost lease, is noticed with a heartbeat.
    maxHeartbeatThrottleInterval: '2s',
    shutdownGraceTime: '5s',
  });
  return {
    version,
    run: async () => {
      try {
        await worker.run();
      } finally {
        if (!options.database) await database.close();
      }
    },
    stop: () => {
      worker.shutdown();
    },
    get state() {
      return worker.getState();
    },
  };
}
