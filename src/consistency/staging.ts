import { tidyingHours } from './problem';
import type { CheckContext, Problem } from './problem';

interface StagedSync {
  readonly sync: string;
  readonly state: string;
  readonly repository: string;
  readonly over: boolean;
  readonly batches: number;
  readonly discoveries: number;
}

/** Only syncs that are not over have something staged. */
export async function* checkStaging({ pool }: CheckContext, tally: (syncs: number) => void): AsyncGenerator<Problem> {
  const { rows } = await pool.query<StagedSync>(stagedSyncs);
  tally(rows.length);
  for (const { sync, state, repository, over, batches, discoveries } of rows) {
    if (!over) continue;
    const found = `${batches} batches and ${discoveries} discoveries`;
    yield {
      kind: 'stagingLeft',
      message: `Sync ${sync} of repository "${repository}" is ${state}, and has ${found} left, with all that is staged in them.`,
      mend: 'Remove them: penstock clean',
      ...{ repository, sync, expected: 'nothing staged', found },
    };
  }
}

/** All that is staged hangs on batches, and goes with them. Syncs with staging are few. */
const stagedSyncs = `
  select sync.id as sync, sync.state, repository.name as repository,
         coalesce(sync.finished_at < now() - interval '${tidyingHours} hours', false)
           and sync.state in ('completed', 'skipped', 'discarded') as over,
         (select count(*) from sync_batches where sync_id = sync.id)::int as batches,
         (select count(*) from sync_discoveries where sync_id = sync.id)::int as discoveries
    from syncs sync join repositories repository on repository.id = sync.repository_id
   where sync.id in (select sync_id from sync_batches union select sync_id from sync_discoveries)
   order by sync.id`;
