import { asError } from '../errors';

/** Asks for many at once; the answers are in the order of what was asked for. */
export type AskForAll<Wanted, Found> = (wanted: readonly Wanted[]) => Promise<readonly (Found | undefined)[]>;

interface Waiting<Wanted, Found> {
  readonly wanted: Wanted;
  readonly answer: Promise<Found | undefined>;
  readonly resolve: (found: Found | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** Queries under way at once: while the database works on one, the answers of the other are sent. */
const mostQueries = 2;
/** Of one query. */
const mostWanted = 500;

/**
 * Looks things up in the database, all that are asked for while a query is under way with the next one. An answer is never older
 * than its question, as each query begins after everything that it answers was asked.
 */
export class GroupedLookups<Wanted, Found> {
  private readonly waiting = new Map<string, Waiting<Wanted, Found>>();
  private queries = 0;
  private planned = false;

  constructor(private readonly askForAll: AskForAll<Wanted, Found>) {}

  /** @param key - the same for the same thing */
  find(key: string, wanted: Wanted): Promise<Found | undefined> {
    const known = this.waiting.get(key);
    if (known) return known.answer;
    const { promise, resolve, reject } = withResolvers<Found | undefined>();
    this.waiting.set(key, { wanted, answer: promise, resolve, reject });
    if (!this.planned && this.queries < mostQueries) {
      this.planned = true;
      // The requests that have come in together are looked up together.
      setImmediate(this.begin);
    }
    return promise;
  }

  private readonly begin = () => {
    this.planned = false;
    while (this.waiting.size > 0 && this.queries < mostQueries) {
      const group = [];
      for (const [key, each] of this.waiting) {
        this.waiting.delete(key);
        if (group.push(each) === mostWanted) break;
      }
      void this.answer(group);
    }
  };

  private async answer(group: readonly Waiting<Wanted, Found>[]): Promise<void> {
    this.queries += 1;
    try {
      const found = await this.askForAll(group.map(({ wanted }) => wanted));
      group.forEach(({ resolve }, index) => {
        resolve(found[index]);
      });
    } catch (error) {
      for (const { reject } of group) reject(asError(error));
    } finally {
      this.queries -= 1;
      this.begin();
    }
  }
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise;
    reject = rejectPromise;
  });
  return { promise, resolve, reject };
}
