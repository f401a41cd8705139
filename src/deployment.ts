import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import type { Client } from '@temporalio/client';
import type { WorkerDeploymentVersion } from '@temporalio/common';
import type { WorkerOptions, WorkflowBundleOption } from '@temporalio/worker';

import type { VersioningSettings } from './settings';

/** Where a bundle's source map begins: it names folders of the machine that it was built on. */
const sourceMap = '//# sourceMappingURL=';

/** Digits of a digest that are a build id: enough to tell versions apart, and still readable. */
const buildIdDigits = 12;

/** The version of a worker; where no build id is given, the same workflows have the same one, wherever they were built. */
export async function versionOf(
  { deploymentName, buildId }: VersioningSettings,
  bundle: WorkflowBundleOption,
): Promise<WorkerDeploymentVersion> {
  if (buildId !== undefined) return { deploymentName, buildId };
  const code = 'code' in bundle ? bundle.code : await readFile(bundle.codePath, 'utf8');
  const end = code.lastIndexOf(sourceMap);
  const digest = createHash('sha256').update(end < 0 ? code : code.slice(0, end));
  return { deploymentName, buildId: digest.digest('hex').slice(0, buildIdDigits) };
}

/** What makes a worker one of a version, for the SDK. */
export function deploymentOptions(
  { behavior }: VersioningSettings,
  version: WorkerDeploymentVersion,
): Pick<WorkerOptions, 'workerDeploymentOptions'> {
  return {
    workerDeploymentOptions: {
      version,
      useWorkerVersioning: true,
      defaultVersioningBehavior: behavior === 'pinned' ? 'PINNED' : 'AUTO_UPGRADE',
    },
  };
}

/** The command that sends new syncs to a version; Temporal sends them to none before that. */
export function setCurrentCommand({ deploymentName, buildId }: WorkerDeploymentVersion): string {
  return `temporal worker deployment set-current-version --deployment-name ${deploymentName} --build-id ${buildId}`;
}

/** Whether Temporal knows where to send the syncs of a deployment: one of its versions was made current. */
export async function hasCurrentVersion(
  { workflowService, options }: Client,
  deploymentName: string,
): Promise<boolean> {
  const described = await workflowService
    .describeWorkerDeployment({ namespace: options.namespace, deploymentName })
    .catch((error: unknown) => {
      if ((error as { code?: unknown }).code === notFound) return undefined;
      throw error;
    });
  return Boolean(described?.workerDeploymentInfo?.routingConfig?.currentDeploymentVersion?.buildId);
}

/** The gRPC status of a deployment that no worker has ever been of. */
const notFound = 5;
