import type { Round } from '../round';

/** One kind of bad day. */
export interface Scenario {
  readonly name: string;
  /** Workers that run when it begins; 0: it starts them itself. */
  readonly workers?: number;
  run(round: Round): Promise<void>;
}
