import type { Migration } from '../migrate';

/** What operators do with a sync that runs, what it waits for, and versions that were completed without everything. */
export const operations: Migration = {
  name: '0004-operations',
  sql: `
alter table syncs
  add column paused jsonb,
  add column limits jsonb,
  add column missing integer not null default 0;
comment on column syncs.paused is 'since when and why; only of a sync that runs';
comment on column syncs.limits is 'those of the remote, as an operator has changed them for this run';
comment on column syncs.missing is 'contents that could not be had, and were allowed to be missing';

alter table repository_versions add column missing integer not null default 0;
comment on column repository_versions.missing is 'contents that upstream declares and that the version does not hold';

alter table sync_batches add column waiting jsonb;
comment on column sync_batches.waiting is 'which hosts its downloads wait for, why, and until when';

-- What a completed sync did without; the staging tables that it stood in are empty then.
create table missing_contents (
  sync_id bigint not null references syncs on delete cascade,
  number  integer not null,
  content text not null,
  path    text,
  error   jsonb not null,
  primary key (sync_id, number)
);

create or replace view sync_failures as
  select batch.sync_id, batch.number as batch, unit.id as unit_id, unit.type || ' ' || unit.fields as content,
         null as path, unit.error
    from sync_batches batch join staged_units unit on unit.batch_id = batch.id
   where unit.outcome = 'refused'
  union all
  select batch.sync_id, batch.number, unit.id, unit.type || ' ' || unit.fields, artifact.relative_path, artifact.error
    from sync_batches batch
    join staged_units unit on unit.batch_id = batch.id
    join staged_artifacts artifact on artifact.unit_id = unit.id
   where unit.outcome is null and artifact.error is not null and artifact.artifact_id is null
  union all
  select sync_id, 0, number, content, path, error from missing_contents;
`,
};
