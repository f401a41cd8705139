import { untilAborted } from './abort';

/** What is being made in this process, so that nothing is made twice at once. */
export class InFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  /**
   * Makes what the key names, or waits for whoever makes it already. If that one fails, or is aborted, those who waited try for
   * themselves: one of them, and the others wait for it. So each of them tries at most once.
   *
   * @param fits - whether what another one made will do
   * @throws what `make` throws, or the signal's reason
   */
  async run(key: string, make: () => Promise<T>, fits: (made: T) => boolean, signal?: AbortSignal): Promise<T> {
    for (;;) {
      const running = this.#running.get(key);
      if (!running) return this.#lead(key, make);
      const made = await untilAborted(settled(running), signal);
      if (!made) continue;
      return fits(made.value) ? made.value : make();
    }
  }

  #lead(key: string, make: () => Promise<T>): Promise<T> {
    const running = make().finally(() => {
      this.#running.delete(key);
    });
    this.#running.set(key, running);
    return running;
  }
}

function settled<T>(running: Promise<T>): Promise<{ readonly value: T } | undefined> {
  return running.then(
    (value) => ({ value }),
    () => undefined,
  );
}
