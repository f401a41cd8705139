/**
 * Works on items, so many at once. After an error no more are begun; it is thrown once all that were begun have ended, so that
 * nothing goes on behind the caller's back.
 */
export async function inLanes<T>(items: Iterable<T>, lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items[Symbol.iterator]();
  let failed = false;
  const lane = async () => {
    for (let next = waiting.next(); !next.done && !failed; next = waiting.next()) {
      try {
        await work(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  for (const result of await Promise.allSettled(Array.from({ length: lanes }, lane))) {
    if (result.status === 'rejected') throw result.reason;
  }
}
