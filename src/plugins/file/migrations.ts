import type { Migration } from '../../models/migrate';

export const migrations: readonly Migration[] = [
  {
    name: '0001-file-contents',
    sql: `
create table file_contents (
  content_id    bigint primary key references contents on delete cascade,
  relative_path text not null,
  digest        text not null check (length(digest) = 64 and digest !~ '[^0-9a-f]'),
  unique nulls not distinct (relative_path, digest)
);
`,
  },
];
