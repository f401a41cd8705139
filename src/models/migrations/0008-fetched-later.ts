import type { Migration } from '../migrate';

/** What `penstock download` and `penstock reclaim` have done, and where they go on. */
export const fetchedLater: Migration = {
  name: '0008-fetched-later',
  sql: `
create table downloads (
  id            bigint generated always as identity primary key,
  repository_id bigint not null references repositories on delete cascade,
  version       integer not null,
  filters       text[] not null,
  state         text not null check (state in ('running', 'failed', 'canceled', 'completed')),
  workflow_id   text not null,
  run_id        text not null,
  fence         bigint not null,
  cursor        bigint not null default 0,
  total         bigint not null,
  total_bytes   bigint not null,
  fetched       bigint not null default 0,
  fetched_bytes bigint not null default 0,
  error         jsonb,
  started_at    timestamptz not null default now(),
  resumed_at    timestamptz not null default now(),
  finished_at   timestamptz,
  check ((state = 'running') = (finished_at is null))
);
create index on downloads (repository_id);
comment on column downloads.filters is 'globs, any of which a path has to match; empty: every path';
comment on column downloads.cursor is 'id of the content before which nothing is deferred any more that is not among the failures';
comment on column downloads.total is 'files that were deferred, when the download began';

-- What could not be had. A file whose content was removed since is nobody's loss.
create table download_failures (
  download_id         bigint not null references downloads on delete cascade,
  content_artifact_id bigint not null references content_artifacts on delete cascade,
  urls                text[] not null,
  reason              text not null,
  primary key (download_id, content_artifact_id)
);
create index on download_failures (content_artifact_id);

create table reclaims (
  id            bigint generated always as identity primary key,
  repository_id bigint not null references repositories on delete cascade,
  keep_versions integer[] not null,
  dry_run       boolean not null,
  state         text not null check (state in ('running', 'failed', 'canceled', 'completed')),
  workflow_id   text not null,
  run_id        text not null,
  fence         bigint not null,
  cursor        bigint not null default 0,
  pending       text[] not null default '{}',
  over          boolean not null default false,
  contents      bigint not null default 0,
  artifacts     bigint not null default 0,
  files         bigint not null default 0,
  bytes         bigint not null default 0,
  error         jsonb,
  started_at    timestamptz not null default now(),
  finished_at   timestamptz,
  check ((state = 'running') = (finished_at is null))
);
create index on reclaims (repository_id);
comment on column reclaims.cursor is 'id of the last artifact that was looked at';
comment on column reclaims.pending is 'sha256 of artifacts whose rows are gone, and whose files are still to be removed';
`,
};
