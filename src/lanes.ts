/**
 * Works on items, so many at once. After an error no more are begun; it is thrown once all that were begun have ended, so that
 * nothing goes on behind the caller's back.
 *
 * @param work - may add a lane, where its own only waits
 */
export async function inLanes<T>(
  items: Iterable<T>,
  lanes: number,
  work: (item: T, addLane: () => void) => Promise<void>,
): Promise<void> {
  const waiting = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const running: Promise<void>[] = [];
  const lane = async (): Promise<void> => {
    try {
      for (let next = waiting.next(); !next.done && failures.length === 0; next = waiting.next()) {
        await work(next.value, addLane);
      }
    } catch (error) {
      failures.push(error);
    }
  };
  const addLane = (): void => {
    running.push(lane());
  };
  for (let number = 0; number < lanes; number += 1) addLane();
  // Lanes that are added meanwhile are waited for as well.
  for (const each of running) await each;
  if (failures.length > 0) throw failures[0];
}
