import { findDrain } from '../draining/drain-rows';
import { Drained } from '../draining/errors';
import type { CommandContext } from './command';
import type { Session } from './session';

/** Says that Penstock is drained, where it is: whoever wonders why nothing moves may not know of it, or have forgotten. */
export async function noteDrain({ output }: CommandContext, { database }: Session): Promise<void> {
  const drain = await findDrain(database.pool);
  if (drain) output.note(new Drained(drain).message);
}
