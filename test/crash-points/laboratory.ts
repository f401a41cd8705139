import { setTimeout } from 'node:timers/promises';

import { ApplicationFailure } from '@temporalio/common';

import { createActivities } from '../../activities';
import type { OpenedVersion } from '../../activities/open-version';
import { WorkerMetrics } from '../../src/observability/worker-metrics';
import { DownloadPools } from '../../src/downloads/download-pool';
import { openSecretBox } from '../../src/models/remote-secrets';
import { file } from '../../src/plugins/file';
import { FileStorage } from '../../src/storage/file-storage';
import type { SyncRepositoryInput } from '../../workflows/sync-repository';
import { FileRepository, sha256 } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { catalog } from '../plugins/catalog';
import { galaxyPlugin } from '../plugins/galaxy';
import { ActivityRunner } from './activity-runner';
import type { Activity, Disturbance } from './activity-runner';
import { crashableDatabase, crashableStorage } from './crash-points';
import { syncInProcess } from './in-process-sync';
import { Interleaving } from './interleaving';
import { SavedState } from './saved-state';
import type { Scenario, Upstream } from './scenarios';
import { rowsOf } from './tables';

const repository = 'repository';
/** Milliseconds after which a run hangs: none takes a second. */
const longestRun = 20_000;

/** What a run has come to: all rows, and all files in the storage. */
export interface Outcome {
  readonly rows: Readonly<Record<string, readonly string[]>>;
  readonly files: readonly string[];
  /** What each sync has failed with; null where it has not. */
  readonly failures: readonly (string | null)[];
}

interface Ran {
  readonly outcome: Outcome;
  readonly runner: ActivityRunner;
}

/** Runs the syncs of a scenario again and again from the same beginning, each time disturbed in another way. */
export class Laboratory {
  private saved: SavedState | undefined;
  private runner: ActivityRunner | undefined;
  private activities: Readonly<Record<string, Activity>> = {};

  private constructor(
    private readonly scenario: Scenario,
    private readonly penstock: Penstock,
    private readonly upstream: FileRepository,
  ) {}

  static async open(scenario: Scenario): Promise<Laboratory> {
    const penstock = await Penstock.start({ plugins: [file, catalog, galaxyPlugin()], worker: false });
    const upstream = await FileRepository.start();
    const laboratory = new Laboratory(scenario, penstock, upstream);
    await laboratory.prepare();
    return laboratory;
  }

  /** Begins anew, and syncs as the scenario says. */
  async run(disturbance: Disturbance): Promise<Ran> {
    await this.saved?.restore();
    const runner = this.newRunner(disturbance);
    const failures: (string | null)[] = [];
    for (const upstream of this.scenario.then) failures.push(await this.sync(runner, upstream));
    return { outcome: { ...(await this.look()), failures }, runner };
  }

  /** The same, but with the stages of the first sync in an order that is chosen. */
  async interleave(disturbance: Disturbance, choose: (possibilities: number) => number): Promise<Ran> {
    await this.saved?.restore();
    const runner = this.newRunner(disturbance);
    const [first, ...others] = this.scenario.then;
    if (first) this.serve(first);
    await inTime(this.interleaveSync(runner, choose));
    const failures: (string | null)[] = [null];
    for (const upstream of others) failures.push(await this.sync(runner, upstream));
    return { outcome: { ...(await this.look()), failures }, runner };
  }

  async close(): Promise<void> {
    await this.upstream.stop();
    await this.penstock.stop();
  }

  private async prepare(): Promise<void> {
    const { penstock, scenario } = this;
    const { settings, database, plugins } = penstock;
    const pass = (step: string) => {
      this.runner?.points.pass(step);
    };
    this.activities = createActivities({
      database: crashableDatabase(database, pass),
      storage: await crashableStorage(this.penstock.storageDir, pass),
      plugins,
      secrets: openSecretBox(settings),
      settings,
      pools: new DownloadPools(),
      metrics: new WorkerMetrics(),
      batchUnits: scenario.batchUnits,
    }) as unknown as Readonly<Record<string, Activity>>;
    const url = `${this.upstream.origin}/${scenario.metadata}`;
    await penstock.addRepository(repository, { url, policy: scenario.policy, max_retries: 0 }, scenario.plugin);
    await this.sync(this.newRunner({ random: () => 0 }), scenario.before);
    this.saved = await SavedState.take(penstock);
  }

  private newRunner(disturbance: Disturbance): ActivityRunner {
    return (this.runner = new ActivityRunner(this.activities, this.penstock.database, disturbance));
  }

  private async interleaveSync(runner: ActivityRunner, choose: (possibilities: number) => number): Promise<void> {
    const call = (type: string, input: unknown) =>
      runner.call(type, 'the sync', input, 'a run', () => Promise.resolve());
    const opened = (await call('openVersion', this.input)) as OpenedVersion;
    await new Interleaving(runner, opened, 'a run', choose).run();
    await call('completeVersion', { syncId: opened.syncId });
    await runner.settle();
  }

  private get input(): SyncRepositoryInput {
    return { repository, mode: this.scenario.mode, optimize: true };
  }

  private async sync(runner: ActivityRunner, upstream: Upstream): Promise<string | null> {
    this.serve(upstream);
    const syncing = syncInProcess(runner, this.input);
    try {
      await inTime(syncing);
      return null;
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      return error.message;
    }
  }

  private serve({ files, missing = [] }: Upstream): void {
    this.upstream.replaceAll(files);
    const lost = missing.map((path) => `${path},${sha256(path)},${path.length}\n`);
    this.upstream.putManifest(
      [...Object.keys(files).map((path) => `${this.upstream.lineOf(path)}\n`), ...lost].join(''),
    );
  }

  private async look(): Promise<Pick<Outcome, 'rows' | 'files'>> {
    const files: string[] = [];
    const storage = FileStorage.forReading(this.penstock.storageDir);
    for await (const { key, size } of storage.list('')) files.push(`${key} ${size}`);
    return { rows: await rowsOf(this.penstock), files: files.sort() };
  }
}

async function inTime(work: Promise<void>): Promise<void> {
  const over = new AbortController();
  const late = setTimeout(longestRun, undefined, { signal: over.signal }).then(() => {
    throw new Error(`The sync hangs: it is not over after ${longestRun} ms`);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    over.abort();
    late.catch(() => undefined);
  }
}
