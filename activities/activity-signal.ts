import { setMaxListeners } from 'node:events';

import { cancellationSignal } from '@temporalio/activity';

/** The signal that the current activity is cancelled, or its worker shuts down; any number of requests may listen to it. */
export function activitySignal(): AbortSignal {
  const signal = cancellationSignal();
  setMaxListeners(0, signal);
  return signal;
}
