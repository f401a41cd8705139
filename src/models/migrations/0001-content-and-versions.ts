import type { Migration } from '../migrate';

/** Remotes, repositories and their versions, contents and artifacts: what stays. */
export const contentAndVersions: Migration = {
  name: '0001-content-and-versions',
  sql: `
create table remotes (
  id                   bigint generated always as identity primary key,
  name                 text not null unique check (name <> ''),
  type                 text not null,
  url                  text not null,
  policy               text not null default 'immediate' check (policy in ('immediate', 'on_demand', 'streamed')),
  download_concurrency integer not null default 10 check (download_concurrency between 1 and 1000),
  max_retries          integer not null default 3 check (max_retries between 0 and 100),
  rate_limit           integer check (rate_limit > 0),
  total_timeout        double precision check (total_timeout > 0),
  connect_timeout      double precision default 60 check (connect_timeout > 0),
  sock_connect_timeout double precision default 30 check (sock_connect_timeout > 0),
  sock_read_timeout    double precision default 60 check (sock_read_timeout > 0),
  tls_validation       boolean not null default true,
  ca_cert              text,
  client_cert          text,
  proxy_url            text,
  secrets              bytea,
  created_at           timestamptz not null default now(),
  updated_at           timestamptz not null default now()
);
comment on column remotes.secrets is 'user names, passwords, the client key and headers: AES-256-GCM';

create table repositories (
  id         bigint generated always as identity primary key,
  name       text not null unique check (name <> ''),
  type       text not null,
  remote_id  bigint references remotes on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index on repositories (remote_id);

create table repository_versions (
  id            bigint generated always as identity primary key,
  repository_id bigint not null references repositories on delete cascade,
  number        integer not null check (number >= 0),
  complete      boolean not null default false,
  created_at    timestamptz not null default now(),
  completed_at  timestamptz,
  unique (repository_id, number),
  check (complete = (completed_at is not null))
);
create unique index one_incomplete_version on repository_versions (repository_id) where not complete;

create table repository_version_counts (
  version_id bigint not null references repository_versions on delete cascade,
  type       text not null,
  added      integer not null check (added >= 0),
  removed    integer not null check (removed >= 0),
  present    integer not null check (present >= 0),
  primary key (version_id, type)
);

create sequence content_ids as bigint;
create table contents (
  id         bigint primary key default nextval('content_ids'),
  type       text not null,
  created_at timestamptz not null default now()
);
alter sequence content_ids owned by contents.id;

-- A content type's own table holds its natural key; this one ties related contents (a manifest list and its manifests).
create table content_references (
  content_id    bigint not null references contents on delete cascade,
  name          text not null,
  referenced_id bigint not null references contents,
  primary key (content_id, name, referenced_id)
);
create index on content_references (referenced_id);

-- A regular expression that counts, such as ^[0-9a-f]{64}$, takes ten times as long.
create table artifacts (
  id         bigint generated always as identity primary key,
  sha256     text not null unique check (length(sha256) = 64 and sha256 !~ '[^0-9a-f]'),
  sha512     text check (length(sha512) = 128 and sha512 !~ '[^0-9a-f]'),
  sha384     text check (length(sha384) = 96 and sha384 !~ '[^0-9a-f]'),
  sha224     text check (length(sha224) = 56 and sha224 !~ '[^0-9a-f]'),
  sha1       text check (length(sha1) = 40 and sha1 !~ '[^0-9a-f]'),
  md5        text check (length(md5) = 32 and md5 !~ '[^0-9a-f]'),
  size       bigint not null check (size >= 0),
  created_at timestamptz not null default now()
);
create index on artifacts (sha512) where sha512 is not null;
create index on artifacts (sha384) where sha384 is not null;
create index on artifacts (sha224) where sha224 is not null;
create index on artifacts (sha1) where sha1 is not null;
create index on artifacts (md5) where md5 is not null;

create table content_artifacts (
  id            bigint generated always as identity primary key,
  content_id    bigint not null references contents on delete cascade,
  artifact_id   bigint references artifacts,
  relative_path text not null check (relative_path <> ''),
  unique (content_id, relative_path)
);
create index on content_artifacts (artifact_id);

create table remote_artifacts (
  id                  bigint generated always as identity primary key,
  content_artifact_id bigint not null references content_artifacts on delete cascade,
  remote_id           bigint not null references remotes on delete cascade,
  urls                text[] not null check (cardinality(urls) > 0),
  size                bigint check (size >= 0),
  sha256              text,
  sha512              text,
  sha384              text,
  sha224              text,
  sha1                text,
  md5                 text,
  unique (content_artifact_id, remote_id)
);
create index on remote_artifacts (remote_id);

create table repository_contents (
  repository_id   bigint not null,
  content_id      bigint not null references contents,
  version_added   integer not null,
  version_removed integer check (version_removed > version_added),
  primary key (repository_id, content_id, version_added),
  foreign key (repository_id, version_added) references repository_versions (repository_id, number) on delete cascade,
  foreign key (repository_id, version_removed) references repository_versions (repository_id, number)
);
-- No content twice in a version: what is there already has to be removed before it can be added again.
create unique index content_once_in_a_version on repository_contents (repository_id, content_id)
  where version_removed is null;
create index on repository_contents (content_id);
create index on repository_contents (repository_id, version_added);
create index on repository_contents (repository_id, version_removed) where version_removed is not null;
`,
};
