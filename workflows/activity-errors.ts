import { ActivityFailure, ApplicationFailure, isCancellation } from '@temporalio/workflow';

/** Whether something has ended because it was asked to; Temporal does not try it again where its worker died meanwhile. */
export function isRest(error: unknown): boolean {
  return isCancellation(error) || (error instanceof ActivityFailure && error.retryState === 'CANCEL_REQUESTED');
}

/** The signals are only a wake-up: what they announce and the database does not have is no failure. */
export function isAbsent(error: unknown): boolean {
  return typeOf(error) === 'NotStaged';
}

/** The disk has filled up in the middle: what is missing can go on once there is room. */
export function isStorageFull(error: unknown): boolean {
  return typeOf(error) === 'StorageFull';
}

/** What is known to be missing will not fit: nothing more is worth downloading. */
export function isNotEnoughRoom(error: unknown): boolean {
  return typeOf(error) === 'NotEnoughRoom';
}

function typeOf(error: unknown): string | null | undefined {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  return cause instanceof ApplicationFailure ? cause.type : undefined;
}
