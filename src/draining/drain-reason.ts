/** Why a workflow that a drain has paused is paused. */
export const drainReason = 'drain';
