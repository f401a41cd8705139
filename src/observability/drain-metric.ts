import type { Pool } from 'pg';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';

import { findDrain } from '../draining/drain-rows';

/** Whether Penstock is drained, as PostgreSQL says; the same in every worker. */
export class DrainMetric {
  private readonly drained: Gauge;

  constructor(registry: Registry) {
    this.drained = new Gauge({
      name: 'penstock_drained',
      help: '1 while Penstock is drained, so that nothing begins to work; else 0.',
      registers: [registry],
    });
  }

  /** Looks anew; where PostgreSQL does not answer, there is no value. */
  async refresh(pool: Pool): Promise<void> {
    const drained = await findDrain(pool).then(
      (drain) => (drain ? 1 : 0),
      () => undefined,
    );
    this.drained.remove();
    if (drained !== undefined) this.drained.set(drained);
  }
}
