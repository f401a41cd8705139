import { quoted } from '../syncs/errors';
import { pages } from './pages';
import type { CheckContext, Problem } from './problem';

interface ContentArtifactRow {
  readonly key: string;
  readonly bare: boolean;
}

interface BareFile {
  readonly content: string;
  readonly path: string;
  readonly repository: string;
}

/** The file of every content that a version holds is stored, or can be fetched from a remote. */
export async function* checkContentArtifacts(
  context: CheckContext,
  tally: (contentArtifacts: number) => void,
): AsyncGenerator<Problem> {
  for await (const page of pages<ContentArtifactRow>(context, contentArtifactPage)) {
    tally(page.length);
    const bare = page.flatMap(({ key, bare: isBare }) => (isBare ? [key] : []));
    if (bare.length === 0) continue;
    const { rows } = await context.pool.query<BareFile>(withoutSource, [bare]);
    for (const { content, path, repository } of rows) {
      yield {
        kind: 'contentArtifactWithoutSource',
        message: `File "${path}" of content ${content} in repository "${repository}" is not stored, and no remote is known that has it.`,
        mend: `Give the repository a remote that has it, if it has none, and sync it again: penstock sync ${quoted(repository)} --no-optimize`,
        ...{ repository, content, path, expected: 'an artifact, or a remote artifact', found: 'neither' },
      };
    }
  }
}

const contentArtifactPage = `
  with page as materialized (select id, artifact_id from content_artifacts where id > $1 order by id limit $2)
  select id as key,
         artifact_id is null and not exists (
           select from remote_artifacts source where source.content_artifact_id = page.id) as bare
    from page order by id`;

/**
 * A sync saves contents first and their sources after: what one that is not over still has to do is no problem. Nor is what it
 * has left when it was thrown away in between: no version holds that, and who declares it again records its source. What is
 * staged has no index by content, and is not looked at where nothing is held.
 */
const withoutSource = `
  with held_file as materialized (
    select file.id, file.content_id, file.relative_path, holder.name
      from content_artifacts file
      join lateral (
        select repository.name
          from repository_contents held join repositories repository on repository.id = held.repository_id
         where held.content_id = file.content_id
         order by held.version_removed desc nulls first, held.repository_id limit 1) holder on true
     where file.id = any($1::bigint[]) and file.artifact_id is null
       and not exists (select from remote_artifacts source where source.content_artifact_id = file.id)
  )
  select file.content_id as content, file.relative_path as path, file.name as repository
    from held_file file
   where not exists (
     select from whole_units unit join staged_artifacts staged on staged.unit_id = unit.id
      where unit.content_id = file.content_id and staged.relative_path = file.relative_path and not staged.sourced)
   order by file.id`;
