import { catalogScenarios } from './catalog-scenarios';
import { killScenarios } from './kill-scenarios';
import { maintenanceScenarios } from './maintenance-scenarios';
import { operatorScenarios } from './operator-scenarios';
import type { Scenario } from './scenario';
import { storageScenarios } from './storage-scenarios';
import { syncScenarios } from './sync-scenarios';

/** Every state of a workflow that a worker may find when it is deployed. */
export const scenarios: readonly Scenario[] = [
  ...syncScenarios,
  ...catalogScenarios,
  ...operatorScenarios,
  ...storageScenarios,
  ...killScenarios,
  ...maintenanceScenarios,
];
