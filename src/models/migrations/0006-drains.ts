import type { Migration } from '../migrate';

/** Whether Penstock is drained, and what that has paused. */
export const drains: Migration = {
  name: '0006-drains',
  sql: `
create table drains (
  single boolean primary key default true check (single),
  since  timestamptz not null default now()
);
comment on table drains is 'at most one row; while it is there, nothing begins to work';

create table drained_workflows (workflow_id text primary key);
comment on table drained_workflows is 'what a drain has asked to pause, and its counterpart resumes';
`,
};
