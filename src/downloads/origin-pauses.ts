/** One bad file that answers 429 must not hold the others back, nor must a lone slot. */
const FEWEST_ANSWERS = 3;

/**
 * Which hosts want to be left alone. A 429 with a Retry-After makes its own download wait. Once as many answers in a row as there are
 * slots were of that kind, the host means everyone: then nothing is asked of it until the time that it named, instead
 * of wasting an attempt of every download that is left.
 */
export class OriginPauses {
  readonly #refusals = new Map<string, number>();
  readonly #until = new Map<string, number>();

  constructor(private readonly slots: () => number) {}

  /** Notes a 429, and until when (milliseconds since the epoch) the host asked for a pause. */
  refused(origin: string, until: number): void {
    const refusals = (this.#refusals.get(origin) ?? 0) + 1;
    this.#refusals.set(origin, refusals);
    if (refusals >= Math.max(FEWEST_ANSWERS, this.slots())) {
      this.#until.set(origin, Math.max(until, this.#until.get(origin) ?? 0));
    }
  }

  /** Notes any other answer. */
  answered(origin: string): void {
    if (this.#refusals.size > 0) this.#refusals.delete(origin);
  }

  /** Until when nothing is to be asked of a host, in milliseconds since the epoch; `undefined`: ask. */
  pausedUntil(origin: string): number | undefined {
    if (this.#until.size === 0) return undefined;
    const until = this.#until.get(origin);
    if (until === undefined || until > Date.now()) return until;
    this.#until.delete(origin);
    return undefined;
  }
}
