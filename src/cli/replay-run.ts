import { Worker } from '@temporalio/worker';

import type { Settings } from '../settings';
import { builtWorkflowBundle } from '../worker';
import { installRuntime, openLog } from './logging';
import type { RecordedHistory } from './replay-histories';

/** What has become of a history. */
export interface Replayed {
  readonly name: string;
  readonly workflowId: string;
  readonly deterministic: boolean;
  /** The number of the first event that does not fit, where that is known. */
  readonly event: number | null;
  readonly reason: string | null;
}

/** Replays histories one after the other, with the workflows as they were built. */
export async function* replayHistories(
  settings: Settings,
  histories: AsyncIterable<RecordedHistory>,
): AsyncGenerator<Replayed> {
  // What the replay finds is printed below; the log would say it again.
  installRuntime(
    openLog({ ...settings, logLevel: settings.logLevel === 'warn' ? 'silent' : settings.logLevel }, 'stderr'),
  );
  for await (const { name, workflowId, history } of histories) {
    const results = Worker.runReplayHistories({ workflowBundle: builtWorkflowBundle }, [{ workflowId, history }]);
    for await (const { error } of results) {
      yield {
        name,
        workflowId,
        deterministic: !error,
        ...(error ? firstDifference(error) : { event: null, reason: null }),
      };
    }
  }
}

function firstDifference({ message }: Error): { event: number | null; reason: string } {
  const event = /\bevent(?:[ _]?id)?\D{0,40}?(\d+)/i.exec(message)?.[1];
  return { event: event === undefined ? null : Number(event), reason: message };
}
