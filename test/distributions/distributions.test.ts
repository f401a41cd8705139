import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import {
  createDistribution,
  deleteDistribution,
  listDistributions,
  updateDistribution,
  viewDistribution,
} from '../../src/distributions/distributions';
import type { DistributionChanges } from '../../src/distributions/distributions';
import { DistributionNotFound, OverlappingBasePaths } from '../../src/distributions/errors';
import type { Database } from '../../src/models/database';
import { RepositoryNotFound } from '../../src/models/sync-errors';
import { deleteVersion } from '../../src/repositories/delete-version';
import { AlreadyExists, InUse, InvalidValue, VersionNotFound } from '../../src/repositories/errors';
import { deleteRepository } from '../../src/repositories/repositories';
import { setRetention } from '../../src/repositories/retain-versions';
import { makeCertificates } from '../downloads/certificates';
import type { Certificates } from '../downloads/certificates';
import { addContents, membersOf, writeHistory } from '../harness/version-history';
import { openTestDatabase } from './set-up';

let database: Database;
let certificates: Certificates;
/** What each version of `files` holds. */
const history = [[], [1], [1, 2], [2, 3], [1, 3]];

beforeAll(async () => {
  database = await openTestDatabase();
  certificates = await makeCertificates();
  await addContents(database.pool, [1, 2, 3]);
});
afterAll(() => database.close());
afterEach(async () => {
  await database.pool.query('delete from distributions');
  await database.pool.query('delete from repositories');
});

const create = (
  name: string,
  basePath: string,
  more: Omit<Parameters<typeof createDistribution>[1], 'name' | 'basePath'> = {},
) => createDistribution(database, { name, basePath, ...more });
const update = (name: string, changes: DistributionChanges) => updateDistribution(database, name, changes);
const show = (name: string) => viewDistribution(database, name);

describe('a distribution', () => {
  it('serves the newest complete version of a repository, or the one that it names', async () => {
    await writeHistory(database.pool, 'files', history);
    await create('stable', 'debian/stable', { target: { repository: 'files' } });
    await create('frozen', 'debian/frozen', { target: { repository: 'files', version: 2 } });
    expect(await listDistributions(database)).toMatchObject([
      { name: 'frozen', basePath: 'debian/frozen', repository: 'files', version: 2, serves: 2, guard: null, tokens: 0 },
      { name: 'stable', basePath: 'debian/stable', repository: 'files', version: null, serves: 4, guard: null },
    ]);
    await database.pool.query(
      `insert into repository_versions (repository_id, number) select id, 5 from repositories where name = 'files'`,
    );
    expect(await show('stable')).toMatchObject({ serves: 4 });
    await database.pool.query('update repository_versions set complete = true, completed_at = now() where number = 5');
    expect(await show('stable')).toMatchObject({ serves: 5 });
    expect(await show('frozen')).toMatchObject({ serves: 2 });
  });

  it('can be changed to serve something else, elsewhere, to others', async () => {
    await writeHistory(database.pool, 'files', history);
    await writeHistory(database.pool, 'others', [[]]);
    await create('stable', 'stable');
    expect(await show('stable')).toMatchObject({ repository: null, version: null, serves: null });
    await expect(update('stable', { target: { version: 1 } })).rejects.toThrow(
      'version: distribution "stable" has no repository now; give the repository too.',
    );
    await update('stable', { target: { repository: 'files' } });
    await update('stable', { target: { version: 3 }, basePath: 'stable/below', guard: 'token' });
    expect(await show('stable')).toMatchObject({ repository: 'files', version: 3, serves: 3, guard: 'token' });
    expect(await show('stable')).toMatchObject({ basePath: 'stable/below' });
    await update('stable', { target: { version: 1 } });
    expect(await show('stable')).toMatchObject({ repository: 'files', version: 1 });
    await update('stable', { target: { repository: 'others' } });
    expect(await show('stable')).toMatchObject({ repository: 'others', version: null, serves: 0 });
    await update('stable', { target: null, guard: null });
    expect(await show('stable')).toMatchObject({ repository: null, serves: null, guard: null });
    await deleteDistribution('stable');
    await expect(show('stable')).rejects.toThrow(DistributionNotFound);
  });

  it('says what is not there, and changes nothing then', async () => {
    await writeHistory(database.pool, 'files', [[]]);
    await database.pool.query('insert into repository_versions (repository_id, number) select id, 1 from repositories');
    await create('stable', 'stable', { target: { repository: 'files' } });
    const before = await show('stable');
    await expect(update('stable', { target: { repository: 'nope' } })).rejects.toThrow(RepositoryNotFound);
    await expect(update('stable', { target: { version: 9 } })).rejects.toThrow(VersionNotFound);
    await expect(update('stable', { basePath: 'new', target: { version: 1 } })).rejects.toThrow(
      'Repository "files" has no complete version 1: a sync has begun it, and is not over.',
    );
    expect(await show('stable')).toEqual(before);
    await expect(create('stable', 'elsewhere')).rejects.toThrow(AlreadyExists);
    await expect(create('a/b', 'elsewhere')).rejects.toThrow('name of a distribution: it has a slash or a backslash');
    for (const asked of [
      () => update('nope', { guard: 'token' }),
      () => deleteDistribution('nope'),
      () => show('nope'),
    ]) {
      await expect(asked()).rejects.toThrow('There is no distribution "nope".');
    }
  });

  it('asks for certificates of authorities that it knows, and of nobody else', async () => {
    const { ca, server } = certificates;
    const clientCa = `Subject: somebody\n${ca.cert}\n# the same\n${ca.cert}`;
    await create('inner', 'inner', { guard: 'certificate', clientCa });
    const stored = (await show('inner')).clientCa ?? '';
    expect(stored.match(/^-----BEGIN CERTIFICATE-----$/gm)).toHaveLength(2);
    expect(stored).not.toMatch(/somebody|same/);
    await update('inner', { basePath: 'other' });
    expect(await show('inner')).toMatchObject({ guard: 'certificate', clientCa: stored });
    for (const [wrong, fault] of [
      ['', 'it has no certificate'],
      ['x'.repeat(65_537), 'it is longer than 65536 characters'],
      [`${ca.cert}${ca.key}`, 'it has a private key'],
      [ca.cert.replace(/\n....../, '\nAAAAAA'), 'it has a certificate that cannot be read'],
      [`${ca.cert}${server.cert}`, '"CN=penstock server" is not the certificate of an authority'],
      [ca.cert.repeat(33), 'it has more than 32 certificates'],
    ] as const) {
      await expect(update('inner', { clientCa: wrong })).rejects.toThrow(`client ca: ${fault}`);
    }
    await update('inner', { guard: 'token' });
    expect(await show('inner')).toMatchObject({ guard: 'token', clientCa: null });
    await expect(update('inner', { guard: 'certificate' })).rejects.toThrow('give a client ca too');
    await expect(update('inner', { clientCa: ca.cert })).rejects.toThrow('the guard is "token"');
  });
});

describe('base paths', () => {
  it.each([
    ['', 'it is empty'],
    ['/a', 'begins or ends with a slash'],
    ['a/', 'begins or ends with a slash'],
    ['a//b', 'two slashes'],
    ['.', 'a segment "."'],
    ['a/../b', 'a segment ".."'],
    ['a\\b', 'means something else'],
    ['a%2fb', 'means something else'],
    ['a?b', 'means something else'],
    ['a#b', 'means something else'],
    ['a b', 'white space'],
    ['a\u00a0b', 'white space'],
    ['a\u0000b', 'not printed'],
    ['a\nb', 'not printed'],
    ['a\u202eb', 'not printed'],
    ['a\ud800b', 'not printed'],
    ['u\u0308', 'normal form'],
    [`a/${'b'.repeat(256)}`, 'a segment of more than 255 bytes'],
    ['ü/'.repeat(334) + 'a', 'longer than 1000 bytes'],
  ])('are refused where they could be read in two ways: %j', async (basePath, fault) => {
    const refused = await create('odd', basePath).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(InvalidValue);
    expect(refused).toMatchObject({ message: expect.stringContaining(fault), details: { field: 'base path' } });
    expect(await listDistributions(database)).toEqual([]);
  });

  it.each([
    'a',
    'debian/dists/stable',
    'bücher',
    '日本',
    '...',
    'a.b',
    "it's",
    'a:b@c;d,e+f=g&h~i(j)*!$',
    'ab/'.repeat(333) + 'a',
  ])('may be %j', async (basePath) => {
    await create('plain', basePath);
    expect(await show('plain')).toMatchObject({ basePath });
  });

  it('are refused where one would lie in another, naming that one', async () => {
    await create('stable', 'debian/stable');
    for (const [basePath, how] of [
      ['debian/stable', 'is that of distribution "stable"'],
      ['debian', 'lies above "debian/stable", the base path of distribution "stable"'],
      ['debian/stable/main', 'lies below "debian/stable", the base path of distribution "stable"'],
    ] as const) {
      await expect(create('other', basePath)).rejects.toThrow(`The base path "${basePath}" ${how}`);
    }
    for (const beside of ['debian/stable-updates', 'debian/stablé', 'debian/stable0', 'debian/stable.d', 'debia']) {
      await create(beside.replace('/', ' '), beside);
    }
    await expect(update('debia', { basePath: 'debian/stable/x' })).rejects.toThrow(OverlappingBasePaths);
    expect(await show('debia')).toMatchObject({ basePath: 'debia' });
    await update('stable', { basePath: 'debian/stable/deeper' });
  });

  it('overlap never, also when many come at once', async () => {
    const paths = ['a', 'a/b', 'a/b/c', 'a', 'a/d', 'a/b', 'a/b/c/d', 'a/b/c', 'a/d/e', 'a'];
    const outcomes = await Promise.allSettled(paths.map((path, index) => create(`number ${index}`, path)));
    const taken = (await listDistributions(database)).map(({ basePath }) => basePath);
    expect(taken.length).toBe(outcomes.filter(({ status }) => status === 'fulfilled').length);
    expect(taken.length).toBeGreaterThan(0);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(OverlappingBasePaths);
    }
    for (const path of taken) {
      expect(taken.filter((other) => `${other}/`.startsWith(`${path}/`))).toEqual([path]);
    }
  });
});

describe('versions and repositories that distributions serve', () => {
  it('are deleted where they are only followed, and refused where they are named', async () => {
    await writeHistory(database.pool, 'files', history);
    await create('stable', 'stable', { target: { repository: 'files' } });
    await create("it's", 'frozen', { target: { repository: 'files', version: 2 } });
    await expect(deleteVersion(database, 'files', 2)).rejects.toThrow(
      `Version 2 of repository "files" is what readers get from "it's". Let that serve something else first: penstock distribution update 'it'\\''s' --version N`,
    );
    await expect(deleteVersion(database, 'files', 2)).rejects.toThrow(InUse);
    await deleteVersion(database, 'files', 4);
    expect(await show('stable')).toMatchObject({ serves: 3 });
    await update("it's", { target: { version: 3 } });
    await deleteVersion(database, 'files', 2);
    expect(await deleteRepository(database, 'files')).toEqual(["it's", 'stable']);
    for (const name of ['stable', "it's"]) {
      expect(await show(name)).toMatchObject({ repository: null, version: null, serves: null });
    }
  });

  it('are kept by the retention of a repository where they are named', async () => {
    await writeHistory(database.pool, 'files', [...history, [2], [3]]);
    await create('frozen', 'frozen', { target: { repository: 'files', version: 2 } });
    await create('older', 'older', { target: { repository: 'files', version: 3 } });
    expect(await setRetention(database, 'files', 2)).toBe(3);
    expect(await membersOf(database.pool, 'files')).toEqual(
      new Map([
        [2, [1, 2]],
        [3, [2, 3]],
        [5, [2]],
        [6, [3]],
      ]),
    );
    await update('frozen', { target: { repository: 'files' } });
    expect(await setRetention(database, 'files', 1)).toBe(2);
    expect(await membersOf(database.pool, 'files')).toEqual(
      new Map([
        [3, [2, 3]],
        [6, [3]],
      ]),
    );
    expect(await setRetention(database, 'files', null)).toBe(0);
  });
});
