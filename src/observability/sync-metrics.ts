import type { Pool } from 'pg';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';

const states = ['running', 'paused', 'failed', 'canceled', 'completed', 'skipped', 'discarded'] as const;

interface NewestSync {
  readonly repository: string;
  readonly state: string;
  /** Seconds since the epoch. */
  readonly begun: number;
  /** Of the last run of the sync; `null` while it runs. */
  readonly seconds: number | null;
  readonly lastSuccess: number | null;
  /** Contents that its newest complete version does without. */
  readonly missing: number;
}

/** What PostgreSQL says of the newest sync of each repository; the same in every worker. */
export class SyncMetrics {
  private readonly gauges: {
    readonly syncs: Gauge<'state'>;
    readonly state: Gauge<'repository' | 'state'>;
    readonly started: Gauge<'repository'>;
    readonly duration: Gauge<'repository'>;
    readonly success: Gauge<'repository'>;
    readonly missing: Gauge<'repository'>;
  };

  constructor(registry: Registry) {
    const registers = [registry];
    const labelNames = ['repository'] as const;
    this.gauges = {
      syncs: new Gauge({
        name: 'penstock_syncs',
        help: 'Repositories by the state of their newest sync.',
        labelNames: ['state'],
        registers,
      }),
      state: new Gauge({
        name: 'penstock_repository_sync_state',
        help: 'The state of the newest sync of a repository: 1, with the state as a label.',
        labelNames: ['repository', 'state'],
        registers,
      }),
      started: new Gauge({
        name: 'penstock_repository_sync_start_timestamp_seconds',
        help: 'When the newest sync of a repository was started, or resumed.',
        labelNames,
        registers,
      }),
      duration: new Gauge({
        name: 'penstock_repository_sync_duration_seconds',
        help: 'How long the newest sync of a repository took since it was started, or resumed; absent while it runs.',
        labelNames,
        registers,
      }),
      success: new Gauge({
        name: 'penstock_repository_last_success_timestamp_seconds',
        help: 'When the last successful sync of a repository ended; absent where there was none.',
        labelNames,
        registers,
      }),
      missing: new Gauge({
        name: 'penstock_repository_missing_contents',
        help: 'Contents that upstream declared and that the newest version of a repository does without.',
        labelNames,
        registers,
      }),
    };
  }

  /** Reads all anew; where PostgreSQL does not answer, there is no value rather than an old one. */
  async refresh(pool: Pool): Promise<void> {
    const rows = await pool.query<NewestSync>(newestSyncs).then(
      (result) => result.rows,
      () => undefined,
    );
    const { syncs, state, started, duration, success, missing } = this.gauges;
    for (const gauge of Object.values(this.gauges)) gauge.reset();
    if (!rows) return;
    for (const each of states) syncs.set({ state: each }, rows.filter((row) => row.state === each).length);
    for (const row of rows) {
      const { repository } = row;
      state.set({ repository, state: row.state }, 1);
      started.set({ repository }, row.begun);
      missing.set({ repository }, row.missing);
      if (row.seconds !== null) duration.set({ repository }, row.seconds);
      if (row.lastSuccess !== null) success.set({ repository }, row.lastSuccess);
    }
  }
}

/** Three steps into an index for each repository, however many syncs there were. */
const newestSyncs = `
  select repository.name as repository,
         case when newest.state = 'running' and newest.paused is not null then 'paused' else newest.state end as state,
         coalesce(version.missing, 0) as missing,
         extract(epoch from newest.resumed_at)::float8 as begun,
         extract(epoch from newest.finished_at - newest.resumed_at)::float8 as seconds,
         extract(epoch from success.finished_at)::float8 as "lastSuccess"
    from repositories repository
    cross join lateral (
      select state, paused, resumed_at, finished_at from syncs
       where repository_id = repository.id order by id desc limit 1) newest
    left join lateral (
      select missing from repository_versions
       where repository_id = repository.id and complete order by number desc limit 1) version on true
    left join lateral (
      select finished_at from syncs
       where repository_id = repository.id and state in ('completed', 'skipped') order by id desc limit 1) success on true
   order by repository.name`;
