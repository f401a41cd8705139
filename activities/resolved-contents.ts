import type { Queryable } from '../src/models/database';
import type { ResolvedContent } from '../src/plugins/plugin';
import { artifactKey } from '../src/storage/storage';
import type { Storage } from '../src/storage/storage';
import type { DiscoveryReference } from './discovery';

interface ResolvedRow {
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly artifacts: readonly { readonly path: string; readonly sha256: string | null }[];
}

/** The contents that a discovery goes on from, in the order in which they were declared; at most one batch of them. */
export async function* readResolved(
  { pool, storage }: { readonly pool: Queryable; readonly storage: Pick<Storage, 'read'> },
  { syncId, discovery }: DiscoveryReference,
): AsyncGenerator<ResolvedContent> {
  const { rows } = await pool.query<ResolvedRow>(
    `select unit.type, unit.fields,
            coalesce(json_agg(json_build_object('path', staged.relative_path, 'sha256', artifact.sha256) order by staged.relative_path)
                       filter (where staged.relative_path is not null), '[]') as artifacts
       from sync_discoveries discovery
       join staged_units unit on unit.batch_id = discovery.batch_id and unit.discovery = discovery.number
       left join staged_artifacts staged on staged.unit_id = unit.id
       left join artifacts artifact on artifact.id = staged.artifact_id
      where discovery.sync_id = $1 and discovery.number = $2
      group by unit.id
      order by unit.id`,
    [syncId, discovery],
  );
  for (const { type, fields, artifacts } of rows) {
    yield {
      content: { type, fields },
      artifacts: artifacts.map(({ path, sha256 }) => ({
        relativePath: path,
        sha256,
        stream: () => {
          if (sha256 === null)
            throw new Error(
              `${type} ${JSON.stringify(fields)}: "${path}" is deferred, so there is nothing to read yet.`,
            );
          return storage.read(artifactKey(sha256));
        },
      })),
    };
  }
}
