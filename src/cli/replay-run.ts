import { Worker } from '@temporalio/worker';

import type { Settings } from '../settings';
import { builtWorkflowBundle } from '../worker';
import { installRuntime, openLog } from './logging';
import { findDifference } from './replay-difference';
import type { Difference } from './replay-difference';
import type { RecordedHistory } from './replay-histories';

/** What has become of a history. */
export interface Replayed extends Omit<Difference, 'reason'> {
  readonly name: string;
  readonly workflowId: string;
  readonly deterministic: boolean;
  readonly reason: string | null;
}

/** Replays histories one after the other, with the workflows as they were built. */
export async function* replayHistories(
  settings: Settings,
  histories: AsyncIterable<RecordedHistory>,
): AsyncGenerator<Replayed> {
  // What the replay finds is printed by the command; the log would say it again.
  const logLevel = settings.logLevel === 'warn' ? 'silent' : settings.logLevel;
  await installRuntime(openLog({ ...settings, logLevel }, 'stderr'));
  for await (const recorded of histories) {
    const { name, workflowId } = recorded;
    const error = await replay(recorded);
    if (!error) {
      yield { name, workflowId, deterministic: true, event: null, reason: null };
      continue;
    }
    const fits = async (history: RecordedHistory['history']) => (await replay({ ...recorded, history })) === undefined;
    yield { name, workflowId, deterministic: false, ...(await findDifference(recorded, error, fits)) };
  }
}

async function replay({ workflowId, history }: RecordedHistory): Promise<Error | undefined> {
  const results = Worker.runReplayHistories({ workflowBundle: builtWorkflowBundle }, [{ workflowId, history }]);
  for await (const { error } of results) return error;
  return undefined;
}
