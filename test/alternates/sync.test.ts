import { rm } from 'node:fs/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { deleteAlternate, viewAlternate } from '../../src/alternates/alternates';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { expectWhole, repair, storedAt } from '../maintenance/maintenance';
import { addAlternate, addOriginal, refresh } from './mirrors';

describe('an alternate content source', () => {
  let penstock: Penstock;
  let original: FileRepository;
  let mirror: FileRepository;
  let alternate = '';

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  beforeEach(async () => {
    original = await FileRepository.start();
    mirror = await FileRepository.start();
  });
  afterEach(async () => {
    await penstock.sql('delete from alternate_content_sources');
    await original.stop();
    await mirror.stop();
  });
  afterAll(() => penstock.stop());

  /** A repository and an alternate of it, by one name for all that it has. */
  async function mirrored(
    name: string,
    files: Record<string, string>,
    held: Record<string, string> = files,
  ): Promise<void> {
    alternate = `${name}-mirror`;
    original.replaceAll(files);
    mirror.replaceAll(held);
    await addOriginal(penstock, name, original, { username: 'original', password: 'hunter2', downloadConcurrency: 2 });
    await addAlternate(penstock, alternate, mirror, {
      username: 'mirror',
      password: 'swordfish',
      downloadConcurrency: 2,
    });
    await refresh(penstock, alternate);
    for (const each of [original, mirror]) each.forget();
  }

  /** Runs what the original has to serve itself to the end, and looks at what came of it. */
  async function expectSynced(name: string, files: Record<string, string>): Promise<void> {
    await penstock.sync(name);
    expect(await penstock.contentsOf(name, 1)).toEqual(files);
    expect(original.repeated).toEqual([]);
    expect(mirror.repeated).toEqual([]);
    const sources = await penstock.sql<{ url: string }>(
      `select distinct substring(urls[1] from '^https?://[^/]+') as url
         from remote_artifacts source join remotes remote on remote.id = source.remote_id where remote.name = $1`,
      [name],
    );
    expect(sources).toEqual([{ url: original.origin }]);
  }

  const answerWith = (status: number) => (_: unknown, response: { writeHead(status: number): { end(): void } }) => {
    response.writeHead(status).end();
  };

  it('is asked first for what it has, under any path, and neither server sees the credentials of the other', async () => {
    const { 'a-00000.txt': first = '', 'a-00001.txt': second = '' } = numberedFiles(2, 'a');
    const files = { first, second, third: 'only upstream has this' };
    await mirrored('plain', files, { 'pool/first': first, 'pool/second': second, other: 'nobody wants this' });
    await expectSynced('plain', files);
    expect(mirror.requests.sort()).toEqual(['pool/first', 'pool/second']);
    expect(original.requests.sort()).toEqual(['PULP_MANIFEST', 'third']);
    expect([...mirror.authorizations]).toEqual([`Basic ${btoa('mirror:swordfish')}`]);
    expect([...original.authorizations]).toEqual([`Basic ${btoa('original:hunter2')}`]);
  });

  it('is followed by the original for each file that it does not give, or gives wrong, and nothing wrong is stored', async () => {
    const files = { ...numberedFiles(12, 'b'), twice: 'b number 3\n' };
    await mirrored('faulty', files);
    mirror.misbehave.set('b-00001.txt', answerWith(404));
    mirror.misbehave.set('b-00003.txt', (_, response) => response.end('b number 4\n'));
    mirror.misbehave.set('b-00008.txt', (_, response) => {
      response.writeHead(200, { 'content-length': 11 }).write('b num', () => response.destroy());
    });
    await expectSynced('faulty', files);
    // The same bytes under two paths are fetched once.
    const asked = original.downloads.map((path) => (path === 'twice' ? 'b-00003.txt' : path));
    expect(asked.sort()).toEqual(['b-00001.txt', 'b-00003.txt', 'b-00008.txt']);
    expect(mirror.downloads).toHaveLength(12);
    await expectWhole(penstock);
  });

  it('is not asked for a file of which it promises another size', async () => {
    await mirrored('sizes', { file: 'four', more: 'more' });
    mirror.putManifest(`${mirror.lineOf('file').replace(/\d+$/, '9')}\n${mirror.lineOf('more')}\n`);
    await refresh(penstock, alternate);
    mirror.forget();
    await expectSynced('sizes', { file: 'four', more: 'more' });
    expect([original.downloads, mirror.downloads]).toEqual([['file'], ['more']]);
  });

  it('is left alone for a while once it fails again and again, and until a refresh finds it well', async () => {
    const files = numberedFiles(40, 'd');
    await mirrored('down', files);
    for (const path of Object.keys(files)) mirror.misbehave.set(path, answerWith(429));
    await expectSynced('down', files);
    // Those that had a slot before the fifth failure was known are asked for, too.
    expect(mirror.requests.length).toBeGreaterThanOrEqual(5);
    expect(mirror.requests.length).toBeLessThanOrEqual(9);
    expect(original.downloads).toHaveLength(40);
    const { failedUntil } = await viewAlternate(penstock.database.pool, alternate);
    expect(Number(failedUntil) - Date.now()).toBeGreaterThan(200_000);

    const asked = mirror.requests.length;
    await rm(storedAt(penstock, 'd number 7\n'));
    expect(await repair(penstock)).toMatchObject({ lost: 1, mended: 1 });
    expect(mirror.requests).toHaveLength(asked);

    mirror.misbehave.clear();
    await refresh(penstock, alternate);
    original.forget();
    await rm(storedAt(penstock, 'd number 8\n'));
    expect(await repair(penstock)).toMatchObject({ lost: 1, mended: 1 });
    expect(original.requests).toEqual([]);
    await expectWhole(penstock);
  });

  it('is done without where nothing listens, and by repairs, too', async () => {
    const files = numberedFiles(3, 'e');
    await mirrored('gone', files);
    await mirror.stop();
    await expectSynced('gone', files);
    expect(original.downloads).toHaveLength(3);
    await rm(storedAt(penstock, 'e number 1\n'));
    expect(await repair(penstock)).toMatchObject({ lost: 1, mended: 1 });
  });

  it('is not asked once it is deleted', async () => {
    const files = numberedFiles(3, 'f');
    await mirrored('deleted', files);
    await deleteAlternate(penstock.database.pool, alternate);
    await expectSynced('deleted', files);
    expect([original.downloads.length, mirror.requests]).toEqual([3, []]);
    expect(await penstock.sql('select from alternate_artifacts')).toEqual([]);
  });
});
