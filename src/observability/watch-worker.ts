import type { NativeConnection } from '@temporalio/worker';
import { Pool } from 'pg';
import { Gauge } from 'prom-client';

import type { Settings } from '../settings';
import type { Storage } from '../storage/storage';
import { DrainMetric } from './drain-metric';
import { HttpListener } from './http-listener';
import type { Answer } from './http-listener';
import { checkReadiness } from './readiness';
import type { Readiness } from './readiness';
import { StorageMetrics } from './storage-metrics';
import { SyncMetrics } from './sync-metrics';
import type { WorkerMetrics } from './worker-metrics';

/** Milliseconds that the metrics of Temporal's SDK may take. */
const patience = 1000;

/** A worker that is watched. */
export interface WatchedWorker {
  readonly metrics: WorkerMetrics;
  /** The state of the worker, as Temporal's SDK names it. */
  readonly state: () => string;
  readonly connection: NativeConnection;
  readonly databaseUrl: string;
  /** Names of the migrations that the database has to have. */
  readonly migrations: readonly string[];
  /** The port of the loopback address where Temporal's SDK shows its own metrics. */
  readonly sdkMetricsPort: number;
}

/** What answers for a worker: `/metrics`, `/livez` and `/readyz`. */
export interface Watch {
  /** As `http://127.0.0.1:9464`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Answers for a worker. @throws {@link InvalidSetting} where the address cannot be listened on */
export async function watchWorker(
  address: NonNullable<Settings['httpAddress']>,
  storage: Pick<Storage, 'room'>,
  worker: WatchedWorker,
): Promise<Watch> {
  const { metrics, connection, migrations, state } = worker;
  // Connections of their own: whoever looks does not wait for the syncs, nor the syncs for them.
  const pool = new Pool({
    connectionString: worker.databaseUrl,
    max: 3,
    connectionTimeoutMillis: patience,
    query_timeout: patience,
    application_name: 'penstock probes',
  });
  pool.on('error', () => undefined);

  const syncs = new SyncMetrics(metrics.registry);
  const drained = new DrainMetric(metrics.registry);
  const room = new StorageMetrics(metrics.registry);
  const readyGauge = new Gauge({
    name: 'penstock_ready',
    help: 'What /readyz finds: 1 where it is well.',
    labelNames: ['check'],
    registers: [metrics.registry],
  });
  const readiness = () => checkReadiness({ pool, connection, migrations, workerState: state });
  const showReadiness = ({ checks }: Readiness) => {
    for (const [check, found] of Object.entries(checks)) readyGauge.set({ check }, found === 'ok' ? 1 : 0);
  };

  const listener = await HttpListener.open(address, {
    '/metrics': async () => {
      const sdk = sdkMetrics(worker.sdkMetricsPort);
      await Promise.all([
        readiness().then(showReadiness),
        syncs.refresh(pool),
        drained.refresh(pool),
        room.refresh(storage),
      ]);
      const own = await metrics.registry.metrics();
      return { status: 200, type: metrics.registry.contentType, body: own + (await sdk) };
    },
    // That it answers at all says that the event loop turns.
    '/livez': () => Promise.resolve(asJson(!hasEnded(state()), { worker: state().toLowerCase() })),
    '/readyz': async () => {
      const found = await readiness();
      return asJson(found.ready, found);
    },
  }).catch(async (error: unknown) => {
    await pool.end();
    throw error;
  });
  return {
    url: listener.url,
    close: async () => {
      await listener.close();
      await pool.end();
    },
  };
}

function hasEnded(state: string): boolean {
  return state === 'FAILED' || state === 'STOPPED';
}

function asJson(well: boolean, body: object): Answer {
  return { status: well ? 200 : 503, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}

/** The SDK's own metrics, as text; nothing where they cannot be had, which an alert on their absence tells. */
async function sdkMetrics(port: number): Promise<string> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(patience) });
    return await response.text();
  } catch {
    return '';
  }
}
