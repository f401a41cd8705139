import type { Migration } from '../migrate';

/** Remotes that are asked first for files that they are known to have, and what they have. */
export const alternateContentSources: Migration = {
  name: '0009-alternate-content-sources',
  sql: `
create table alternate_content_sources (
  id             bigint generated always as identity primary key,
  name           text not null unique check (name <> ''),
  remote_id      bigint not null unique references remotes on delete restrict,
  paths          text[] not null default '{}',
  refresh_id     bigint,
  last_refreshed timestamptz,
  failed_until   timestamptz,
  created_at     timestamptz not null default now(),
  updated_at     timestamptz not null default now()
);
comment on column alternate_content_sources.paths is 'of metadata, below the url of the remote; empty: that url itself';
comment on column alternate_content_sources.refresh_id is 'which has found out what the source has; null: nothing is known';
comment on column alternate_content_sources.failed_until is 'nobody asks it until then, as it failed again and again';

create table alternate_refreshes (
  id             bigint generated always as identity primary key,
  source_id      bigint not null references alternate_content_sources on delete cascade,
  paths          text[] not null,
  state          text not null check (state in ('running', 'failed', 'canceled', 'completed')),
  workflow_id    text not null,
  run_id         text not null,
  fence          bigint not null,
  cursor         integer not null default 0,
  artifacts      bigint not null default 0,
  without_sha256 bigint not null default 0,
  unexplored     bigint not null default 0,
  error          jsonb,
  started_at     timestamptz not null default now(),
  finished_at    timestamptz,
  check ((state = 'running') = (finished_at is null))
);
create index on alternate_refreshes (source_id, id);
comment on column alternate_refreshes.cursor is 'paths that are done';
comment on column alternate_refreshes.unexplored is 'contents that lead to more, which only their files would tell';
alter table alternate_content_sources add foreign key (refresh_id) references alternate_refreshes on delete set null;

-- Under the refresh that has found it: readers go by that of the source, and see all of one or all of the next. The key is for
-- them, who look up the files of a batch at once.
create table alternate_artifacts (
  sha256     text not null check (length(sha256) = 64 and sha256 !~ '[^0-9a-f]'),
  refresh_id bigint not null references alternate_refreshes on delete cascade,
  path       integer not null,
  urls       text[] not null,
  size       bigint,
  primary key (sha256, refresh_id)
);
create index on alternate_artifacts (refresh_id, path);
comment on column alternate_artifacts.path is 'its place among the paths of the refresh: one that begins again forgets what it had found there';
`,
};
