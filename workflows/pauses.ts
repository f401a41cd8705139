import { ApplicationFailure, setHandler } from '@temporalio/workflow';

import { pause, resumeFrom } from './messages';
import type { PauseRequest } from './messages';

/** Characters of a reason. */
const longestReason = 1000;

/** A workflow that can be paused, for one reason at a time: the first one holds. */
export interface Pausable {
  /** As `sync`. */
  readonly name: string;
  /** Why it is paused; `undefined`: it is not. */
  paused(): string | undefined;
  /** Whether there is nothing left to pause. */
  ending(): boolean;
  /** Gives the reason that holds. */
  pause(reason: string): string;
  resume(): void;
}

/** Hears the updates `pause` and `resume`, and refuses what makes no sense. */
export function hearPauses(work: Pausable, whatPauses: string): void {
  setHandler(pause, ({ reason }) => work.pause(reason), {
    description: `${whatPauses} Argument: {"reason": "maintenance"}.`,
    validator: (request) => {
      const { reason } = (request ?? {}) as Partial<PauseRequest>;
      const isReason = typeof reason === 'string' && reason.length <= longestReason;
      refuseUnless(isReason, `Say why, in ${longestReason} characters at most: {"reason": "…"}.`);
      refuseUnless(!work.ending(), `The ${work.name} is about to end: there is nothing left to pause.`);
    },
  });
  setHandler(
    resumeFrom,
    () => {
      work.resume();
    },
    {
      description: 'Goes on after a pause. With {"reason": "maintenance"}, only where it is paused for that.',
      validator: (request) => {
        const paused = work.paused();
        refuseUnless(paused !== undefined, `The ${work.name} is not paused.`);
        const { reason = paused } = (request as Partial<typeof request> | undefined) ?? {};
        refuseUnless(reason === paused, `The ${work.name} is paused for another reason: ${paused ?? ''}`);
      },
    },
  );
}

/** A refused update leaves no trace in the history. */
export function refuseUnless(holds: boolean, message: string): void {
  if (!holds) throw ApplicationFailure.nonRetryable(message, 'UpdateRefused');
}
