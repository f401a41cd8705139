import type { Migration } from '../migrate';

/** What `penstock repair` and `penstock clean` have done, and where they go on. */
export const maintenance: Migration = {
  name: '0005-maintenance',
  sql: `
create table repairs (
  id            bigint generated always as identity primary key,
  repository_id bigint references repositories on delete cascade,
  missing_only  boolean not null,
  state         text not null check (state in ('running', 'failed', 'canceled', 'completed')),
  workflow_id   text not null,
  run_id        text not null,
  fence         bigint not null,
  cursor        bigint not null default 0,
  total         bigint not null,
  checked       bigint not null default 0,
  checked_bytes bigint not null default 0,
  lost          bigint not null default 0,
  rotten        bigint not null default 0,
  mended        bigint not null default 0,
  error         jsonb,
  started_at    timestamptz not null default now(),
  resumed_at    timestamptz not null default now(),
  finished_at   timestamptz,
  check ((state = 'running') = (finished_at is null))
);
create index on repairs (repository_id);
comment on column repairs.repository_id is 'only what its versions hold; null: everything';
comment on column repairs.cursor is 'id of the last artifact that was looked at';
comment on column repairs.total is 'artifacts, when the repair began';

-- What could not be mended. An artifact that was removed since is nobody's loss.
create table repair_failures (
  repair_id    bigint not null references repairs on delete cascade,
  artifact_id  bigint not null references artifacts on delete cascade,
  kind         text not null check (kind in ('lost', 'rotten')),
  content_id   bigint,
  path         text,
  repositories text[] not null,
  urls         text[] not null,
  reason       text not null,
  primary key (repair_id, artifact_id)
);
create index on repair_failures (artifact_id);

create table cleanings (
  id                 bigint generated always as identity primary key,
  protection_seconds bigint not null check (protection_seconds >= 0),
  dry_run            boolean not null,
  state              text not null check (state in ('running', 'failed', 'canceled', 'completed')),
  workflow_id        text not null,
  run_id             text not null,
  fence              bigint not null,
  phase              text not null default 'staging' check (phase in ('staging', 'contents', 'artifacts', 'files', 'over')),
  cursor             bigint not null default 0,
  contents           bigint not null default 0,
  artifacts          bigint not null default 0,
  files              bigint not null default 0,
  bytes              bigint not null default 0,
  error              jsonb,
  started_at         timestamptz not null default now(),
  finished_at        timestamptz,
  check ((state = 'running') = (finished_at is null))
);
comment on column cleanings.cursor is 'within the phase: an id, or the number of a group of folders';
`,
};
