import { ActivityCancellationType } from '@temporalio/workflow';

/** Every activity heartbeats: one whose worker has died is tried again after this. The database is waited for, however long. */
export const activityOptions = {
  heartbeatTimeout: '10s',
  startToCloseTimeout: '1 day',
  scheduleToCloseTimeout: '30 days',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s' },
} as const;
