import { randomUUID } from 'node:crypto';

import { ApplicationFailure } from '@temporalio/common';

import type { DiscoverContentsResult } from '../../activities/discover-contents';
import type { OpenedVersion } from '../../activities/open-version';
import type { PlannedStage } from '../../activities/planned-stage';
import type { BatchTally, DownloadShare, StageInput } from '../../activities/stage';
import type { BatchesDiscovered, DiscoveriesOpened } from '../../workflows/messages';
import { SyncState } from '../../workflows/sync-state';
import type { Next } from '../../workflows/sync-state';
import type { SyncRepositoryInput } from '../../workflows/sync-repository';
import { RunLost } from './activity-runner';
import type { ActivityRunner } from './activity-runner';
import { Conditions } from './conditions';

/**
 * Syncs a repository in this process: the activities and the workflow's state are the product's, and what is between them is
 * played here. Where the run is lost, another sync of the repository is started, as a user would.
 *
 * @throws ApplicationFailure with what the sync has failed with
 */
export async function syncInProcess(runner: ActivityRunner, input: SyncRepositoryInput): Promise<void> {
  for (;;) {
    try {
      await new Run(runner, input).run();
      return;
    } catch (error) {
      if (!(error instanceof RunLost)) throw error;
      runner.beginRun();
    } finally {
      await runner.settle();
    }
  }
}

/** One run of the workflow. */
class Run {
  private readonly state: SyncState;
  private readonly runId = randomUUID();
  private readonly conditions = new Conditions();

  constructor(
    private readonly runner: ActivityRunner,
    private readonly input: SyncRepositoryInput,
  ) {
    this.state = new SyncState(input.repository);
  }

  async run(): Promise<void> {
    const { state, input } = this;
    try {
      const opened = await this.call<OpenedVersion>('openVersion', 'the repository', input);
      state.open(opened);
      if (opened.skipped) return;
      await this.work(opened);
      await this.call('completeVersion', 'the version', { syncId: opened.syncId });
    } catch (error) {
      if (state.opened && error instanceof ApplicationFailure) await this.stop(state.opened, error);
      throw error;
    }
  }

  private async work(opened: OpenedVersion): Promise<void> {
    const { state, conditions } = this;
    for (;;) {
      await conditions.until(() => state.canStart || state.idle);
      if (!state.canStart) break;
      void this.settle(opened, state.start());
    }
    if (state.failures.length > 0) throw state.failures[0];
  }

  private async settle(opened: OpenedVersion, next: Next): Promise<void> {
    try {
      await (next.kind === 'discovery' ? this.discover(opened, next.number) : this.processBatch(opened, next.number));
      this.state.ended(next, 'over');
    } catch (error) {
      if (error instanceof ApplicationFailure && error.type === 'NotStaged') this.state.ended(next, 'absent');
      else this.state.failed(next, error);
    }
    this.conditions.check();
  }

  private discover({ syncId }: OpenedVersion, discovery: number): Promise<void> {
    return this.withShare('discovery', async (share) => {
      const input = { syncId, discovery, share };
      const { batches } = await this.call<DiscoverContentsResult>('discoverContents', `discovery ${discovery}`, input);
      this.state.batchesDiscovered({ syncId, batches });
    });
  }

  private async processBatch({ syncId, stages }: OpenedVersion, batch: number): Promise<void> {
    let tally: BatchTally | undefined;
    for (const [index, stage] of stages.entries()) {
      const last = index === stages.length - 1;
      if (!last && tally && !hasWork(stage, tally)) continue;
      const before: BatchTally | undefined = tally;
      tally = await this.runStage(stage, { syncId, batch, last });
      this.state.stageEnded({ stage: stage.name, batch }, before, tally, 0);
      this.conditions.check();
    }
  }

  private runStage({ name, requests }: PlannedStage, input: StageInput): Promise<BatchTally> {
    const run = (share?: DownloadShare) => this.call<BatchTally>(name, `batch ${input.batch}`, { ...input, share });
    return requests ? this.withShare('stage', run) : run();
  }

  private async withShare<T>(kind: 'discovery' | 'stage', use: (share: DownloadShare) => Promise<T>): Promise<T> {
    const { state, conditions } = this;
    let share = state.takeShare(kind);
    while (!share) {
      await conditions.until(() => state.hasFreeSlot);
      share = state.takeShare(kind);
    }
    try {
      return await use(share);
    } finally {
      state.giveShareBack(share);
      conditions.check();
    }
  }

  private async stop({ syncId }: OpenedVersion, { type, message }: ApplicationFailure): Promise<void> {
    const error = { type: type ?? '', message, transient: false };
    await this.call('closeSync', 'the sync', { syncId, state: 'failed', error });
  }

  private call<T>(type: string, object: string, input: unknown): Promise<T> {
    const { channel = atOnce } = this.runner.disturbance;
    return this.runner.call(type, object, input, this.runId, (name, message) => {
      channel(() => {
        this.hear(name, message);
      });
      return Promise.resolve();
    }) as Promise<T>;
  }

  private hear(name: string, message: unknown): void {
    if (name === 'batchDiscovered') this.state.batchesDiscovered(message as BatchesDiscovered);
    else this.state.discoveriesOpened(message as DiscoveriesOpened);
    this.conditions.check();
  }
}

const atOnce = (deliver: () => void) => {
  deliver();
};

function hasWork({ needs }: PlannedStage, tally: BatchTally): boolean {
  return needs.length === 0 || needs.some((need) => tally[need] > 0);
}
