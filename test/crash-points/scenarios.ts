import type { SyncMode } from '../../src/models/sync-models';
import { sha256 } from '../harness/file-repository';

/** What upstream has: files by their paths; of a file repository they also make the manifest, with what is `missing`. */
export interface Upstream {
  readonly files: Readonly<Record<string, string>>;
  /** Files that the manifest names, and that are not there. */
  readonly missing?: readonly string[];
}

/** Small syncs of one repository, one after the other. */
export interface Scenario {
  readonly name: string;
  readonly plugin: 'file' | 'catalog' | 'galaxy';
  readonly policy: 'immediate' | 'on_demand';
  readonly mode: SyncMode;
  /** Units of a batch: few units make several batches. */
  readonly batchUnits: number;
  /** The path of the remote's url. */
  readonly metadata: string;
  /** What is synced before anything is disturbed. */
  readonly before: Upstream;
  /** Each is synced, with crashes. */
  readonly then: readonly Upstream[];
}

/** Twins are in one batch: whether another batch still has to download one would be a matter of time. */
const mirrored = { 'kept.txt': 'kept', 'new.txt': 'new', 'twin.txt': 'new', 'changed.txt': 'two' };

/** Several batches, removals and an eviction; then the same again, which is skipped. */
const mirror: Scenario = {
  name: 'a mirror of files',
  plugin: 'file',
  policy: 'immediate',
  mode: 'mirror',
  batchUnits: 3,
  metadata: 'PULP_MANIFEST',
  before: { files: { 'kept.txt': 'kept', 'changed.txt': 'one', 'dropped.txt': 'dropped' } },
  then: [{ files: mirrored }, { files: mirrored }],
};

/** A sync that fails; and another, which finds other metadata, discards what the first had begun, and begins anew. */
const failed: Scenario = {
  name: 'a sync that has failed, and begins anew',
  plugin: 'file',
  policy: 'immediate',
  mode: 'additive',
  batchUnits: 3,
  metadata: 'PULP_MANIFEST',
  before: { files: { 'old.txt': 'old' } },
  then: [
    { files: { 'here.txt': 'here' }, missing: ['lost.txt'] },
    { files: { 'here.txt': 'here', 'found.txt': 'found' } },
  ],
};

const listed = [
  { name: 'lib', files: [{ path: 'lib.txt' }] },
  { name: 'leaf', needs: [{ name: 'app' }] },
];
const entries = [
  { name: 'index', then: 'open', files: [{ path: 'listed.json', deferred: false }] },
  { name: 'app', needs: [{ name: 'lib' }], files: [{ path: 'app.txt', sha256: sha256('app') }] },
  { name: 'known', files: [{ path: 'known.txt', deferred: false }] },
];

/** Futures and references, over several batches and discoveries. */
const catalog: Scenario = {
  name: 'a catalog on demand, with futures and references',
  plugin: 'catalog',
  policy: 'on_demand',
  mode: 'additive',
  batchUnits: 3,
  metadata: 'catalog.json',
  before: { files: { 'catalog.json': JSON.stringify([{ name: 'known', files: [{ path: 'known.txt' }] }]) } },
  then: [
    {
      files: {
        'catalog.json': JSON.stringify(entries),
        'listed.json': JSON.stringify(listed),
        'app.txt': 'app',
        'lib.txt': 'lib',
        'known.txt': 'known',
      },
    },
  ],
};

const roles = ['1', '2'].map((version) => ({ namespace: 'acme', name: 'web', version }));

/** Stages and save hooks of the plugin's own, one of which drops a unit. */
const galaxy: Scenario = {
  name: 'roles, with stages of their plugin',
  plugin: 'galaxy',
  policy: 'immediate',
  mode: 'additive',
  batchUnits: 3,
  metadata: 'roles.json',
  before: { files: { 'roles.json': '[]' } },
  then: [
    {
      files: {
        'roles.json': JSON.stringify(roles),
        'api/acme.web-1.json': JSON.stringify({ license: 'free', tags: ['a'], sha256: sha256('archive 1') }),
        'api/acme.web-2.json': JSON.stringify({ license: 'expired' }),
        'acme.web-1.tar.gz': 'archive 1',
        'acme.web-2.tar.gz': 'archive 2',
      },
    },
  ],
};

export const scenarios = { mirror, failed, catalog, galaxy } as const;
