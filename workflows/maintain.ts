import { CancellationScope, condition, setCurrentDetails, workflowInfo } from '@temporalio/workflow';

import type { MaintenanceEnd } from '../activities/maintenance-attempt';
import { isRest } from './activity-errors';
import { describeFailure } from './describe-failure';
import { hearPauses } from './pauses';

/** What the run before has left open. */
export interface CarriedMaintenance {
  readonly id: string;
  /** Why it is paused; null: it is not. */
  readonly paused: string | null;
}

/** Work in batches whose rows hold how far it is. */
interface Maintenance<Progress> {
  /** As `repair`. */
  readonly name: string;
  readonly carried: CarriedMaintenance | undefined;
  /** Batches after which a run continues as new, where Temporal does not suggest it earlier. */
  readonly continueAsNewAfter: number | undefined;
  /** Begins, or goes on with what was interrupted; returns the row's id. */
  open(): Promise<string>;
  /** Works for a while. */
  batch(id: string): Promise<Progress>;
  isOver(progress: Progress): boolean;
  describe(progress: Progress): string;
  end(end: MaintenanceEnd): Promise<void>;
}

/** Works batch after batch, and waits between two while it is paused. Returns what it has come to, or what a new run goes on with. */
export async function maintain<Progress>(
  work: Maintenance<Progress>,
): Promise<{ readonly result: Progress } | { readonly carried: CarriedMaintenance }> {
  let paused = work.carried?.paused ?? null;
  hearPauses(
    {
      name: work.name,
      paused: () => paused ?? undefined,
      ending: () => false,
      pause: (reason) => (paused ??= reason),
      resume: () => {
        paused = null;
      },
    },
    'Waits after the batch that is under way, until it is resumed.',
  );

  let id = work.carried?.id;
  try {
    id ??= await work.open();
    for (let batches = 1; ; batches += 1) {
      if (paused !== null) {
        setCurrentDetails(`**Paused**: ${paused}`);
        await condition(() => paused === null);
      }
      const progress = await work.batch(id);
      setCurrentDetails(work.describe(progress));
      if (work.isOver(progress)) {
        await work.end({ id, state: 'completed', error: null });
        return { result: progress };
      }
      if (batches >= (work.continueAsNewAfter ?? Infinity) || workflowInfo().continueAsNewSuggested) {
        return { carried: { id, paused } };
      }
    }
  } catch (error) {
    await stop(work, id, error);
    throw error;
  }
}

/** Notes why it has stopped; what it has done stays. */
async function stop<Progress>(work: Maintenance<Progress>, id: string | undefined, error: unknown): Promise<void> {
  if (id === undefined) return;
  const canceled = isRest(error);
  const end = { id, state: canceled ? 'canceled' : 'failed', error: canceled ? null : describeFailure(error) } as const;
  await CancellationScope.nonCancellable(() => work.end(end));
}
