import { PenstockError } from '../errors';
import { formatDate } from '../format-date';
import type { Queryable } from '../models/database';
import { findDrain } from './drain-rows';
import type { Drain } from './drain-rows';

/** Penstock is drained, and what was asked for would begin to work. */
export class Drained extends PenstockError {
  override readonly transient = true;

  constructor({ since }: Drain) {
    super(
      `Penstock is drained, since ${formatDate(since) ?? ''}: nothing begins to work. To end that, and let all go on: penstock undrain`,
      { since: since.toISOString() },
    );
  }
}

/** Somebody has ended the drain while it was under way. */
export class DrainEnded extends PenstockError {
  override readonly transient = true;

  constructor() {
    super('Somebody has ended the drain while it was under way, so everything goes on. To drain again: penstock drain');
  }
}

/** Workflows have not come to rest, or not gone on; Penstock stays as drained as it is. */
export class DrainIncomplete extends PenstockError {
  override readonly transient = true;
}

/** @throws {@link Drained} */
export async function refuseWhileDrained(client: Queryable): Promise<void> {
  const drain = await findDrain(client);
  if (drain) throw new Drained(drain);
}
