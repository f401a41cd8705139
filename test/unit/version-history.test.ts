import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { migrate } from '../../src/models/migrate';
import { PluginRegistry } from '../../src/plugins';
import { file } from '../../src/plugins/file';
import { deleteVersion } from '../../src/repositories/delete-version';
import { countChanges, listChanges } from '../../src/repositories/diff-versions';
import { LastVersion } from '../../src/repositories/errors';
import { setRetention } from '../../src/repositories/retain-versions';
import { rollbackVersion } from '../../src/repositories/rollback-version';
import { listVersions } from '../../src/repositories/versions';
import type { Counts } from '../../src/repositories/versions';
import { addContents, membersOf, writeHistory } from '../harness/version-history';
import type { Members } from '../harness/version-history';
import { createDatabase } from '../services/database';
import type { TestDatabase } from '../services/database';

const contents = [1, 2, 3, 4, 5, 6];

/** What is done to a history; a version is named by its place among those that there are. */
type Step =
  { readonly do: 'delete' | 'rollback'; readonly place: number } | { readonly do: 'retain'; versions: number };

describe('a history of versions', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  let histories = 0;

  beforeAll(async () => {
    testDatabase = await createDatabase();
    database = openDatabase(testDatabase.url);
    await migrate(database.sequelize, [file]);
    await addContents(database.pool, contents);
  });
  afterAll(async () => {
    await database.close();
    await testDatabase.drop();
  });

  const members = fc.subarray(contents);
  const versions = fc.array(members, { minLength: 6, maxLength: 8 });
  const place = fc.nat({ max: 9 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('delete' as const), place }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('rollback' as const), place }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('retain' as const), versions: fc.integer({ min: 1, max: 8 }) }),
    },
  );

  it('keeps what every version holds and counts it, whatever is deleted', async () => {
    await fc.assert(
      fc.asyncProperty(versions, fc.array(step, { minLength: 3, maxLength: 8 }), async (history, steps) => {
        const repository = `history-${(histories += 1)}`;
        await writeHistory(database.pool, repository, history);
        let expected: Members = new Map(history.entries());
        let retained = Infinity;
        let highest = history.length - 1;
        for (const each of steps) {
          const result = await take(repository, each, expected);
          expected = result.expected;
          if (each.do === 'retain') retained = each.versions;
          if (result.made !== undefined) {
            // A number is never used twice, also where the newest version was deleted.
            expect(result.made).toBe(highest + 1);
            highest = result.made;
          }
          if (each.do !== 'delete') expected = new Map([...expected].slice(-retained));
          expect(await membersOf(database.pool, repository)).toEqual(expected);
          expect(await countsOf(repository)).toEqual(countsFrom(expected));
        }
      }),
      { numRuns: 60 },
    );
  });

  /** Takes a step, and says what the versions have to hold then. */
  async function take(repository: string, step: Step, before: Members): Promise<{ expected: Members; made?: number }> {
    if (step.do === 'retain') {
      const deleted = await setRetention(database, repository, step.versions);
      expect(deleted).toBe(Math.max(0, before.size - step.versions));
      return { expected: before };
    }
    const numbers = [...before.keys()];
    const number = numbers[step.place % numbers.length] ?? 0;
    if (step.do === 'delete') {
      const deleting = deleteVersion(database, repository, number);
      if (before.size === 1) {
        await expect(deleting).rejects.toThrow(LastVersion);
        return { expected: before };
      }
      await deleting;
      return { expected: new Map([...before].filter(([each]) => each !== number)) };
    }
    const newest = numbers.at(-1) ?? 0;
    const old = before.get(number) ?? [];
    const same = String(old) === String(before.get(newest));
    const rollback = await rollbackVersion(database, repository, number);
    expect(rollback.changed).toBe(!same);
    if (same) return { expected: before };
    return { expected: new Map([...before, [rollback.version, old]]), made: rollback.version };
  }

  it('differs by what one of two versions holds, in both directions', async () => {
    await fc.assert(
      fc.asyncProperty(versions, place, place, async (history, one, other) => {
        const repository = `history-${(histories += 1)}`;
        await writeHistory(database.pool, repository, history);
        const pair = { repository, from: one % history.length, to: other % history.length };
        const [from = [], to = []] = [history[pair.from], history[pair.to]];
        const store = { pool: database.pool, plugins: new PluginRegistry([file]) };
        const changes: Record<string, string> = {};
        for await (const { id, change } of listChanges(store, pair, Infinity)) changes[id] = change;
        const added = to.filter((id) => !from.includes(id));
        const removed = from.filter((id) => !to.includes(id));
        expect(changes).toEqual({
          ...Object.fromEntries(added.map((id) => [id, 'added'])),
          ...Object.fromEntries(removed.map((id) => [id, 'removed'])),
        });
        expect(await countChanges(store, pair)).toEqual({ added: added.length, removed: removed.length });
      }),
      { numRuns: 40 },
    );
  });

  async function countsOf(repository: string): Promise<Map<number, Readonly<Record<string, Counts>>>> {
    const found = await listVersions(repository, 100);
    return new Map(found.map(({ number, types }) => [number, types]));
  }
});

/** The counts of each version: against the one before it, and of the types that there are in either. */
function countsFrom(members: Members): Map<number, Readonly<Record<string, Counts>>> {
  let before: readonly number[] = [];
  const counts = [...members].map(([number, held]) => {
    const removed = before.filter((id) => !held.includes(id));
    const added = held.filter((id) => !before.includes(id));
    before = held;
    const types = [
      ['file.file', (id: number) => id % 2 === 0],
      ['other.thing', (id: number) => id % 2 === 1],
    ] as const;
    const ofTypes = types.map(([type, isOf]) => {
      const [one, two, three] = [added, removed, held].map((ids) => ids.filter(isOf).length);
      return [type, { added: one, removed: two, present: three }] as const;
    });
    return [number, Object.fromEntries(ofTypes.filter(([, each]) => Object.values(each).some(Boolean)))] as const;
  });
  return new Map(counts) as Map<number, Readonly<Record<string, Counts>>>;
}
