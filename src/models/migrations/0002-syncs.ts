import type { Migration } from '../migrate';

/** A sync and its checkpoint: what an interrupted sync needs to go on. */
export const syncs: Migration = {
  name: '0002-syncs',
  sql: `
create table syncs (
  id             bigint generated always as identity primary key,
  repository_id  bigint not null references repositories on delete cascade,
  remote_id      bigint references remotes on delete set null,
  version_id     bigint references repository_versions on delete set null,
  state          text not null check (state in ('running', 'failed', 'canceled', 'completed', 'skipped', 'discarded')),
  mode           text not null check (mode in ('additive', 'mirror')),
  policy         text not null,
  url            text not null,
  base_version   integer not null,
  result_version integer,
  runs           integer not null default 1,
  workflow_id    text not null,
  run_id         text not null,
  fence          bigint not null,
  batches        integer not null default 0,
  discoveries    integer not null default 0,
  downloaded     integer not null default 0,
  downloaded_bytes bigint not null default 0,
  error          jsonb,
  started_at     timestamptz not null default now(),
  resumed_at     timestamptz not null default now(),
  finished_at    timestamptz,
  check ((state = 'running') = (finished_at is null)),
  check (state in ('completed', 'skipped', 'discarded') or version_id is not null)
);
comment on column syncs.url is 'of the remote, when the sync began: another url is another snapshot';
comment on column syncs.fence is 'milliseconds at which Temporal scheduled the attempt that may write';
-- Running or resumable: such a sync owns the incomplete version.
create unique index one_open_sync on syncs (repository_id) where state in ('running', 'failed', 'canceled');
create index on syncs (repository_id, id);

create table sync_metadata (
  sync_id       bigint not null references syncs on delete cascade,
  url           text not null,
  sha256        text not null,
  size          bigint not null,
  etag          text,
  last_modified text,
  primary key (sync_id, url)
);

create table sync_batches (
  id               bigint generated always as identity primary key,
  sync_id          bigint not null references syncs on delete cascade,
  number           integer not null,
  discovery        integer not null,
  units            integer not null,
  fence            bigint not null default 0,
  finished         boolean not null default false,
  artifacts        integer not null default 0,
  artifact_bytes   bigint not null default 0,
  downloads        integer not null default 0,
  downloaded       integer not null default 0,
  downloaded_bytes bigint not null default 0,
  failed           integer not null default 0,
  associated       integer not null default 0,
  unique (sync_id, number)
);

-- One run of a step of the first stage: the start, or what goes on from the resolved contents of a batch.
create table sync_discoveries (
  sync_id      bigint not null references syncs on delete cascade,
  number       integer not null,
  step         text not null,
  batch_id     bigint references sync_batches on delete cascade,
  staged_units bigint not null default 0,
  finished     boolean not null default false,
  fence        bigint not null default 0,
  primary key (sync_id, number)
);

-- Staging. Tables are joined by the unit's id alone, and nothing else: the planner has no statistics of rows this fresh, takes
-- a batch for one row, and with (batch, ordinal) compares every unit of the batch with every artifact of it. The free space
-- on each page is for the updates of the stages.
create table staged_units (
  id         bigint primary key,
  batch_id   bigint not null references sync_batches on delete cascade,
  content_id bigint not null default nextval('content_ids'),
  type       text not null,
  fields     jsonb not null,
  known      boolean not null default false,
  outcome    text check (outcome in ('dropped', 'refused')),
  error      jsonb,
  step       text,
  discovery  integer
) with (fillfactor = 50);
create index on staged_units (batch_id);
comment on column staged_units.id is 'batch_id * 65536 + place in the batch';

create table staged_artifacts (
  unit_id       bigint not null,
  batch_id      bigint not null references sync_batches on delete cascade,
  relative_path text not null,
  urls          text[] not null,
  size          bigint,
  sha256        text,
  sha512        text,
  sha384        text,
  sha224        text,
  sha1          text,
  md5           text,
  deferred      boolean not null,
  stored_sha256 text,
  stored_size   bigint,
  artifact_id   bigint,
  attached      boolean not null default false,
  sourced       boolean not null default false,
  error         jsonb,
  primary key (unit_id, relative_path)
) with (fillfactor = 50);
create index on staged_artifacts (batch_id);
comment on column staged_artifacts.attached is 'the content artifact is there, with this artifact or deferred';
comment on column staged_artifacts.sourced is 'the remote artifact is there, with these urls';

-- What may be saved: neither dropped nor refused, and every file that is wanted now is at hand.
create view whole_units as
  select unit.* from staged_units unit
   where unit.outcome is null
     and not exists (
       select from staged_artifacts artifact
        where artifact.unit_id = unit.id and artifact.artifact_id is null and not artifact.deferred);

create table staged_references (
  unit_id  bigint not null,
  batch_id bigint not null references sync_batches on delete cascade,
  name     text not null,
  type     text not null,
  key      jsonb not null
);
create index on staged_references (batch_id);
create index on staged_references (unit_id);

-- What a sync could not have: files that could not be downloaded, and units that were refused.
create view sync_failures as
  select batch.sync_id, batch.number as batch, unit.id as unit_id, unit.type || ' ' || unit.fields as content,
         null as path, unit.error
    from sync_batches batch join staged_units unit on unit.batch_id = batch.id
   where unit.outcome = 'refused'
  union all
  select batch.sync_id, batch.number, unit.id, unit.type || ' ' || unit.fields, artifact.relative_path, artifact.error
    from sync_batches batch
    join staged_units unit on unit.batch_id = batch.id
    join staged_artifacts artifact on artifact.unit_id = unit.id
   where unit.outcome is null and artifact.error is not null and artifact.artifact_id is null;

create table progress_reports (
  sync_id bigint not null references syncs on delete cascade,
  code    text not null,
  message text not null,
  state   text not null check (state in ('running', 'completed', 'failed', 'canceled', 'skipped')),
  done    bigint not null,
  total   bigint,
  suffix  text,
  primary key (sync_id, code)
);
comment on table progress_reports is 'of syncs that are over; sync_progress has them all';

-- The codes and messages are pulpcore's. A running sync's progress is read off its batches, so no stage counts twice.
create view sync_progress (sync_id, code, message, state, done, total, suffix) as
  with open_sync as (
    select id, state from syncs where state in ('running', 'failed', 'canceled')
  ), discovered as (
    select sync_id, sum(staged_units)::bigint as units, bool_and(finished) as finished
    from sync_discoveries group by sync_id
  ), batched as (
    select sync_id, sum(downloads)::bigint as downloads, sum(downloaded)::bigint as downloaded,
           sum(downloaded_bytes)::bigint as downloaded_bytes, sum(units)::bigint as units,
           sum(associated)::bigint as associated
    from sync_batches group by sync_id
  )
  select s.id, 'sync.downloading.metadata', 'Downloading Metadata', s.state,
         (select count(*) from sync_metadata m where m.sync_id = s.id), null::bigint, null::text
  from open_sync s
  union all
  select s.id, 'sync.parsing.metadata', 'Parsing Metadata', s.state,
         coalesce(d.units, 0), case when d.finished then d.units end, null
  from open_sync s left join discovered d on d.sync_id = s.id
  union all
  select s.id, 'sync.downloading.artifacts', 'Downloading Artifacts', s.state,
         coalesce(b.downloaded, 0), coalesce(b.downloads, 0), coalesce(b.downloaded_bytes, 0) || ' bytes'
  from open_sync s left join batched b on b.sync_id = s.id
  union all
  select s.id, 'associating.content', 'Associating Content', s.state,
         coalesce(b.associated, 0), b.units, null
  from open_sync s left join batched b on b.sync_id = s.id
  union all
  select sync_id, code, message, state, done, total, suffix from progress_reports;
`,
};
