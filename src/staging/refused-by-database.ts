import { DatabaseError } from 'pg';

import { PenstockError } from '../errors';

/** PostgreSQL refuses a statement or a value that a plugin has given, and would refuse it again. */
export class RefusedByDatabase extends PenstockError {}

/**
 * What the same statement meets each time: data that does not fit (class 22), wrong SQL (42), limits of the program (54), null
 * where a value has to be, and failed checks (PostgreSQL's manual, appendix "Error Codes"). All else may be over the next time.
 */
const final = /^(22|42|54)|^(23502|23514)$/;

/**
 * Runs statements of a plugin's.
 *
 * @param what - whose they are, for the message
 * @throws {@link RefusedByDatabase} where trying again would be in vain
 */
export async function runningFor<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    const { message, detail, code = '' } = error;
    if (!final.test(code)) throw error;
    throw new RefusedByDatabase(`${what}: PostgreSQL refuses it: ${message}${detail ? ` (${detail})` : ''}.`, {
      found: code,
    });
  }
}
