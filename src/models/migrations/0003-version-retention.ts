import type { Migration } from '../migrate';

/** The number of the next version, as versions can be deleted, and how many of them a repository keeps. */
export const versionRetention: Migration = {
  name: '0003-version-retention',
  sql: `
alter table repositories
  add column next_version integer not null default 1,
  add column retain_repo_versions integer check (retain_repo_versions >= 1);
comment on column repositories.next_version is 'higher than every version that was ever complete';
comment on column repositories.retain_repo_versions is 'so many of the newest complete versions are kept; null: all';

update repositories repository set next_version = newest.number + 1
  from (select repository_id, max(number) as number from repository_versions where complete group by repository_id) newest
 where newest.repository_id = repository.id;
`,
};
