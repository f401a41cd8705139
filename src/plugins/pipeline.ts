/** The stages of Penstock in the order in which they run where a plugin names no other. */
export const standardPipeline = [
  'queryExistingContents',
  'queryExistingArtifacts',
  'downloadArtifacts',
  'saveArtifacts',
  'saveContents',
  'saveRemoteArtifacts',
  'resolveContentFutures',
  'associateContents',
] as const;

export type StandardStage = (typeof standardPipeline)[number];

/** Stages that would find nothing to do, or lose something, in another order. */
const inOrder: readonly (readonly [first: StandardStage, then: StandardStage])[] = [
  ['queryExistingContents', 'saveContents'],
  ['queryExistingArtifacts', 'downloadArtifacts'],
  ['downloadArtifacts', 'saveArtifacts'],
  ['saveArtifacts', 'saveContents'],
  ['saveContents', 'saveRemoteArtifacts'],
  ['saveContents', 'resolveContentFutures'],
  ['saveContents', 'associateContents'],
];

/** What is wrong with a pipeline, or `undefined`; without the name of the plugin. */
export function faultOfPipeline(
  pipeline: readonly string[],
  ownStages: readonly string[],
  steps: readonly string[],
): string | undefined {
  const standard: readonly string[] = standardPipeline;
  const taken = ownStages.find((stage) => standard.includes(stage));
  if (taken !== undefined) return `its own stage "${taken}" has the name of a standard stage`;
  for (const [index, stage] of pipeline.entries()) {
    if (!standard.includes(stage) && !ownStages.includes(stage))
      return `its pipeline names the stage "${stage}", which does not exist`;
    if (pipeline.indexOf(stage) !== index) return `its pipeline names the stage "${stage}" twice`;
  }
  const unused = ownStages.find((stage) => !pipeline.includes(stage));
  if (unused !== undefined) return `its own stage "${unused}" is not in its pipeline, so it would never run`;

  const has = (stage: StandardStage) => pipeline.includes(stage);
  if (!has('saveContents')) return 'its pipeline leaves out "saveContents", so no content would be saved';
  if (!has('associateContents'))
    return 'its pipeline leaves out "associateContents", so no version would have its content';
  if (has('downloadArtifacts') && !has('saveArtifacts'))
    return 'its pipeline has "downloadArtifacts" without "saveArtifacts", so no downloaded file would be kept';
  for (const [first, then] of inOrder) {
    if (has(first) && has(then) && pipeline.indexOf(first) > pipeline.indexOf(then))
      return `its pipeline has "${then}" before "${first}", which has to come first`;
  }
  const [waiting] = steps.filter((step) => step !== 'start');
  if (waiting !== undefined && !has('resolveContentFutures'))
    return `the step "${waiting}" of its first stage could never run, as its pipeline leaves out "resolveContentFutures"`;
  return undefined;
}
