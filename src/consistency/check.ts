import { performance } from 'node:perf_hooks';

import { checkArtifacts } from './artifacts';
import { checkContentArtifacts } from './content-artifacts';
import { checkContents } from './contents';
import { checkIncompleteVersions } from './incomplete-versions';
import { checkPinnedMetadata } from './pinned-metadata';
import { NotChecked } from './problem';
import type { Check, CheckContext, Problem } from './problem';
import { checkStaging } from './staging';
import { checkStoredFiles } from './stored-files';
import { checkVersions } from './versions';
import { checkWorkflows } from './workflows';

/** What is checked, in this order, by what is counted. */
const checks = {
  versions: checkVersions,
  incompleteVersions: checkIncompleteVersions,
  contents: checkContents,
  contentArtifacts: checkContentArtifacts,
  artifacts: checkArtifacts,
  storedFiles: checkStoredFiles,
  pinnedMetadata: checkPinnedMetadata,
  stagedSyncs: checkStaging,
  runningSyncs: checkWorkflows,
} satisfies Readonly<Record<string, Check>>;

export type CheckName = keyof typeof checks;

/** What became of one check. */
export interface Checked {
  /** Objects that were looked at; null where the check could not be made. */
  readonly count: number | null;
  readonly seconds: number;
  /** Why it could not be made, and how it can be. */
  readonly notChecked: string | null;
}

/** What is found on the way: the problems of a check, and then that it is over. */
export type Finding =
  | { readonly problem: Problem }
  | { readonly begun: CheckName }
  | { readonly over: CheckName; readonly checked: Checked };

/**
 * Checks that database, storage and Temporal agree, and that nothing which a reader sees is incomplete. It only reads, in short
 * statements, and may run beside syncs: what one that runs is just doing is no problem.
 */
export async function* checkConsistency(context: CheckContext): AsyncGenerator<Finding> {
  for (const [name, check] of Object.entries(checks) as [CheckName, Check][]) {
    yield { begun: name };
    const start = performance.now();
    let count: number | null = 0;
    let notChecked: string | null = null;
    try {
      for await (const problem of check(context, (objects) => (count = (count ?? 0) + objects))) yield { problem };
    } catch (error) {
      if (!(error instanceof NotChecked)) throw error;
      count = null;
      notChecked = error.message;
    }
    yield { over: name, checked: { count, seconds: (performance.now() - start) / 1000, notChecked } };
  }
}
