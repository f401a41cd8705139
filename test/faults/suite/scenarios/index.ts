import { kills, outages } from './kills';
import { readers } from './readers';
import type { Scenario } from './scenario';
import { sideBySide } from './side-by-side';
import { stoppedWorker } from './stopped-worker';
import { storage } from './storage';
import { tls } from './tls';
import { upstreamFaults } from './upstream-faults';

/** Everything that can happen. */
export const scenarios: readonly Scenario[] = [
  ...kills,
  ...outages,
  ...stoppedWorker,
  ...upstreamFaults,
  ...tls,
  ...storage,
  ...sideBySide,
  ...readers,
];
