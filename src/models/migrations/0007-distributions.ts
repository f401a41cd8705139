import type { Migration } from '../migrate';

/** What the content app serves, to whom, and how it finds a file. */
export const distributions: Migration = {
  name: '0007-distributions',
  sql: `
-- The paths below a base path: ranges of two base paths overlap exactly where one is the other, or lies below it.
create type path_range as range (subtype = text, collation = "C");

create table distributions (
  id            bigint generated always as identity primary key,
  name          text not null unique check (name <> ''),
  base_path     text not null check (base_path <> ''),
  repository_id bigint references repositories on delete set null,
  version_id    bigint references repository_versions on delete set null,
  guard         text check (guard in ('token', 'certificate')),
  client_ca     text,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  check (repository_id is null or version_id is null),
  check ((guard is not distinct from 'certificate') = (client_ca is not null)),
  constraint overlapping_base_paths
    exclude using gist (path_range(base_path || '/', base_path || '0') with &&)
);
create unique index on distributions (base_path collate "C");
create index on distributions (repository_id);
create index on distributions (version_id);
comment on column distributions.repository_id is 'its newest complete version is served; null, with version_id: nothing is';
comment on column distributions.client_ca is 'PEM: certificates of clients that it has signed may read';

create table distribution_tokens (
  id              bigint generated always as identity primary key,
  distribution_id bigint not null references distributions on delete cascade,
  name            text not null check (name <> ''),
  sha256          text not null unique check (length(sha256) = 64 and sha256 !~ '[^0-9a-f]'),
  created_at      timestamptz not null default now(),
  expires_at      timestamptz,
  unique (distribution_id, name)
);
comment on column distribution_tokens.sha256 is 'of the token, which has 256 random bits and is stored nowhere';

-- A file by its path; in byte order, as listings are.
create index on content_artifacts (relative_path collate "C");

alter table remote_artifacts add column failed_until timestamptz;
comment on column remote_artifacts.failed_until is 'the content app leaves it alone until then, as it could not have the file from there';
`,
};
