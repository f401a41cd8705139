import { json } from 'node:stream/consumers';

import { defineContent } from '../../src/plugins/content-type';
import { drop, refuse } from '../../src/plugins/own-stage';
import type { UnitStage } from '../../src/plugins/own-stage';
import { definePlugin, insertStage, standardPipeline } from '../../src/plugins/plugin';
import type { BatchSql, Plugin } from '../../src/plugins/plugin';

/** A version of a role. Its role is no content: a row beside it, made when the first of its versions is saved. */
export const RoleVersion = defineContent({
  name: 'galaxy.role-version',
  table: 'galaxy_role_versions',
  fields: {
    namespace: 'text',
    name: 'text',
    version: 'text',
    license: 'text?',
    tags: 'text[]?',
    reviewed: 'boolean?',
    roleId: 'integer?',
  },
  naturalKey: ['namespace', 'name', 'version'],
});

/** The page about a role version, made from it once it is saved. */
export const RolePage = defineContent({
  name: 'galaxy.page',
  table: 'galaxy_pages',
  fields: { namespace: 'text', name: 'text', version: 'text' },
  naturalKey: ['namespace', 'name', 'version'],
});

/** A role version in the list of them. */
export interface ListedRole {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
}

/** What a file of its own says about a role version: `api/<namespace>.<name>-<version>.json`. */
export interface RoleDetails {
  readonly license: string;
  readonly tags?: readonly string[];
  readonly sha256?: string;
}

/**
 * Ansible-like roles. New versions are looked up one by one before they are saved, and some are not wanted.
 *
 * @param onDetails - called before a role version's details are asked for; a test fails or waits there.
 */
export function galaxyPlugin(onDetails: (role: string) => Promise<void> | void = () => undefined): Plugin {
  /** Asks for what the list does not say: the license, the tags, and the digest of the archive. */
  const fetchDetails: UnitStage = {
    kind: 'unit',
    units: 'new',
    async run(unit, { remote, fetch }) {
      const { content, artifacts } = unit;
      if (content.type !== RoleVersion.name) return unit;
      const role = nameOf(content.fields as unknown as ListedRole);
      await onDetails(role);
      const answer = await fetch(new URL(`api/${role}.json`, remote.url).href);
      const { license, tags = null, sha256 } = JSON.parse(answer.toString()) as RoleDetails;
      return {
        content: { ...content, fields: { ...content.fields, license, tags } },
        artifacts: artifacts.map((artifact) => (sha256 === undefined ? artifact : { ...artifact, sha256 })),
      };
    },
  };
  /** Refuses and drops by license. */
  const checkLicense: UnitStage = {
    kind: 'unit',
    units: 'new',
    run(unit) {
      const { license } = unit.content.fields;
      if (license === 'secret') return Promise.resolve(refuse('its license forbids to copy it'));
      return Promise.resolve(license === 'expired' ? drop('its license is over') : unit);
    },
  };
  return definePlugin({
    name: 'galaxy',
    contents: [RoleVersion, RolePage],
    migrations,
    firstStage: {
      async *start({ remote, metadata }) {
        const list = await metadata(remote.url);
        for (const role of (await json(list.stream())) as ListedRole[]) {
          const relativePath = `${nameOf(role)}.tar.gz`;
          yield {
            content: RoleVersion.declare({ ...role, license: null, tags: null, reviewed: null, roleId: null }),
            artifacts: [{ relativePath, url: new URL(relativePath, remote.url).href }],
            then: 'pages',
          };
        }
      },
      async *pages({ resolved }) {
        for await (const { content } of resolved) {
          const { namespace, name, version } = content.fields as unknown as ListedRole;
          yield {
            content: RolePage.declare({ namespace, name, version }),
            references: { about: [RoleVersion.key({ namespace, name, version })] },
          };
        }
      },
    },
    stages: { fetchDetails, checkLicense, markReviewed: { kind: 'batch', run: markReviewed } },
    pipeline: ['fetchDetails', 'checkLicense', 'markReviewed'].reduce<readonly string[]>(
      (pipeline, stage) => insertStage(pipeline, stage, { before: 'queryExistingArtifacts' }),
      standardPipeline,
    ),
    saveHooks: { before: saveRoles },
  });
}

/** In SQL: what is free counts as reviewed. */
async function markReviewed({ batchId, query }: BatchSql): Promise<void> {
  await query(
    `update staged_units set fields = fields || jsonb_build_object('reviewed', fields->>'license' = 'free')
      where batch_id = $1 and type = 'galaxy.role-version' and not known and outcome is null`,
    [batchId],
  );
}

/** Roles that are there are found, others made; then the new versions learn the ids. */
async function saveRoles({ batchId, query }: BatchSql): Promise<void> {
  await query(
    `insert into galaxy_roles (namespace, name)
     select distinct fields->>'namespace', fields->>'name' from whole_units
      where batch_id = $1 and not known and type = 'galaxy.role-version' order by 1, 2
     on conflict do nothing`,
    [batchId],
  );
  await query(
    `update staged_units unit set fields = fields || jsonb_build_object('roleId', role.id)
       from galaxy_roles role
      where unit.batch_id = $1 and not unit.known and unit.type = 'galaxy.role-version'
        and role.namespace = unit.fields->>'namespace' and role.name = unit.fields->>'name'`,
    [batchId],
  );
}

/** As files are named after a role version. */
export function nameOf({ namespace, name, version }: ListedRole): string {
  return `${namespace}.${name}-${version}`;
}

const migrations = [
  {
    name: '0001-roles',
    sql: `
create table galaxy_roles (
  id        integer generated always as identity primary key,
  namespace text not null,
  name      text not null,
  unique (namespace, name)
);
create table galaxy_role_versions (
  content_id bigint primary key references contents on delete cascade,
  namespace  text not null,
  name       text not null,
  version    text not null,
  license    text not null,
  tags       text[],
  reviewed   boolean not null,
  role_id    integer not null references galaxy_roles,
  unique nulls not distinct (namespace, name, version)
);
create table galaxy_pages (
  content_id bigint primary key references contents on delete cascade,
  namespace  text not null,
  name       text not null,
  version    text not null,
  unique nulls not distinct (namespace, name, version)
);
`,
  },
];
