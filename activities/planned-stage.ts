import { standardPipeline } from '../src/plugins/plugin';
import type { Plugin, StandardStage } from '../src/plugins/plugin';
import type { BatchTally } from './stage';

/** A stage as the workflow runs it: pipelines are data. */
export interface PlannedStage {
  /** Its name, and that of its activity. */
  readonly name: string;
  /** It runs where one of these is above zero; it always runs where there are none. */
  readonly needs: readonly (keyof BatchTally)[];
  /** Whether it makes requests to the remote. */
  readonly requests: boolean;
}

const standardNeeds: Readonly<Record<StandardStage, PlannedStage['needs']>> = {
  queryExistingContents: [],
  queryExistingArtifacts: ['unknownArtifacts'],
  downloadArtifacts: ['downloads'],
  saveArtifacts: ['unsavedArtifacts'],
  saveContents: ['newContents', 'unattachedArtifacts'],
  saveRemoteArtifacts: ['unsourcedArtifacts'],
  resolveContentFutures: ['futures'],
  associateContents: [],
};

/** What the workflow has to know of a stage that the plugin's pipeline names. */
export function planStage(plugin: Plugin, name: string): PlannedStage {
  const own = plugin.stages[name];
  if (own) {
    const needs: PlannedStage['needs'] = own.kind === 'unit' && own.units === 'new' ? ['newContents'] : [];
    return { name: `${plugin.name}.${name}`, needs, requests: own.kind === 'unit' };
  }
  const standard = standardPipeline.find((each) => each === name);
  if (!standard) throw new Error(`There is no stage "${name}".`);
  return { name, needs: standardNeeds[standard], requests: name === 'downloadArtifacts' };
}
