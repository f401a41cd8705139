import { createHash } from 'node:crypto';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import { FileRepository, sha256 } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { catalog, catalogVariant } from '../plugins/catalog';
import type { CatalogEntry } from '../plugins/catalog';

describe('contents that a plugin declares', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    upstream = await FileRepository.start();
    penstock = await Penstock.start({
      plugins: [
        catalog,
        // Stages each entry as a batch of its own: it waits for the source longer than a batch does.
        catalogVariant('one-by-one', {
          steps: {},
          async *start(context) {
            for await (const unit of catalog.firstStage.start(context)) {
              yield unit;
              await new Promise((resolve) => setTimeout(resolve, 1200));
            }
          },
        }),
      ],
    });
  });
  afterEach(() => {
    upstream.misbehave.clear();
    upstream.forget();
  });
  afterAll(async () => {
    await penstock.stop();
    await upstream.stop();
  });

  /** A repository with a catalog of its own upstream. */
  async function add(name: string, entries: readonly CatalogEntry[], remote = {}, plugin = 'catalog'): Promise<void> {
    upstream.put(`${name}.json`, JSON.stringify(entries));
    await penstock.addRepository(name, { url: `${upstream.origin}/${name}.json`, max_retries: 0, ...remote }, plugin);
  }

  /** The files of saved entries, with their digests. */
  async function filesOf(prefix: string): Promise<unknown[]> {
    return penstock.sql(
      `select entry.name, attached.relative_path as path, artifact.sha256
         from catalog_entries entry
         join content_artifacts attached on attached.content_id = entry.content_id
         left join artifacts artifact on artifact.id = attached.artifact_id
        where starts_with(entry.name, $1) order by entry.name, path`,
      [prefix],
    );
  }

  function digest(name: string, content: string): string {
    return createHash(name).update(content).digest('hex');
  }

  describe('artifacts', () => {
    it('holds two artifacts in one content, and one in two contents: downloaded and stored once', async () => {
      upstream.put('both.txt', 'in both');
      upstream.put('extra.txt', 'in one');
      const [both, extra] = [sha256('in both'), sha256('in one')];
      await add('sharing', [
        { name: 'sharing-1', files: [{ path: 'both.txt', sha256: both }, { path: 'extra.txt' }] },
        { name: 'sharing-2', files: [{ path: 'sub/copy.txt', urls: ['both.txt'], sha256: both }] },
      ]);
      await penstock.sync('sharing');
      expect(await filesOf('sharing')).toEqual([
        { name: 'sharing-1', path: 'both.txt', sha256: both },
        { name: 'sharing-1', path: 'extra.txt', sha256: extra },
        { name: 'sharing-2', path: 'sub/copy.txt', sha256: both },
      ]);
      expect(upstream.requests.filter((path) => path === 'both.txt')).toHaveLength(1);
      expect(await penstock.sql('select from artifacts where sha256 = $1', [both])).toHaveLength(1);
    });

    it('tries the next url where one fails', async () => {
      upstream.put('mirror/late.txt', 'from the mirror');
      upstream.put('wrong/late.txt', 'something else there');
      await add('mirrored', [
        {
          name: 'mirrored',
          files: [
            {
              path: 'late.txt',
              urls: ['gone/late.txt', 'wrong/late.txt', 'mirror/late.txt'],
              sha256: sha256('from the mirror'),
            },
          ],
        },
      ]);
      await penstock.sync('mirrored');
      expect(upstream.requests.slice(1)).toEqual(['gone/late.txt', 'wrong/late.txt', 'mirror/late.txt']);
      expect(await filesOf('mirrored')).toMatchObject([{ sha256: sha256('from the mirror') }]);
      const [source] = await penstock.sql<{ urls: string[] }>(
        `select urls from remote_artifacts where sha256 = '${sha256('from the mirror')}'`,
      );
      expect(source?.urls).toHaveLength(3);
    });

    it('takes files of which only sha512 is known, and finds them again by it', async () => {
      upstream.put('long.txt', 'long digest');
      const file = { path: 'long.txt', sha512: digest('sha512', 'long digest') };
      await add('long', [{ name: 'long-1', files: [file] }]);
      await penstock.sync('long');
      expect(await filesOf('long')).toMatchObject([{ sha256: sha256('long digest') }]);
      await add('long-again', [{ name: 'long-2', files: [{ ...file, path: 'other.txt', urls: ['nowhere'] }] }]);
      await expect(penstock.sync('long-again')).resolves.toMatchObject({ added: 1, downloaded: 0 });
    });

    it('gathers the digests that different declarations name of one file', async () => {
      upstream.put('known.txt', 'known by two');
      await add('by-256', [{ name: 'known-256', files: [{ path: 'known.txt', sha256: sha256('known by two') }] }]);
      await penstock.sync('by-256');
      const sha512 = digest('sha512', 'known by two');
      await add('by-512', [{ name: 'known-512', files: [{ path: 'known.txt', sha512 }] }]);
      await expect(penstock.sync('by-512')).resolves.toMatchObject({ downloaded: 1 });
      await add('by-512-too', [{ name: 'known-512-too', files: [{ path: 'known.txt', sha512 }] }]);
      await expect(penstock.sync('by-512-too')).resolves.toMatchObject({ downloaded: 0 });
    });

    it('takes files of which no digest is known, and leaves those of known content alone', async () => {
      upstream.put('plain.txt', 'as it was');
      await add('plain', [{ name: 'plain', files: [{ path: 'plain.txt' }] }]);
      await penstock.sync('plain');
      upstream.put('plain.txt', 'as it is now');
      await expect(penstock.sync('plain', { optimize: false })).resolves.toMatchObject({ changed: false });
      expect(await filesOf('plain')).toMatchObject([{ sha256: sha256('as it was') }]);
    });

    it('refuses files of which only md5 is known', async () => {
      upstream.put('weak.txt', 'weak');
      await add('weak', [{ name: 'weak', files: [{ path: 'weak.txt', md5: digest('md5', 'weak') }] }]);
      await expect(penstock.sync('weak')).rejects.toThrow(/weak\.txt.*Only md5 is known/);
      expect(upstream.requests).not.toContain('weak.txt');
    });

    it('refuses another file for the natural key and path of saved content, with both digests', async () => {
      const [was, is] = ['the file as it was', 'the file as it is'];
      for (const name of ['sha256', 'sha512']) {
        upstream.put('fixed.txt', was);
        const entry = `fixed-${name}`;
        await add(entry, [{ name: entry, files: [{ path: 'fixed.txt', [name]: digest(name, was) }] }]);
        await penstock.sync(entry);

        upstream.put('fixed.txt', is);
        const changed = { name: entry, files: [{ path: 'fixed.txt', [name]: digest(name, is) }] };
        upstream.put(`${entry}.json`, JSON.stringify([changed, { name: `${entry}-new` }]));
        const failed = penstock.sync(entry);
        await expect(failed).rejects.toMatchObject({ type: 'SyncIncomplete', transient: false });
        await expect(failed).rejects.toThrow(new RegExp(`${entry}.*fixed\\.txt.*`));
        await expect(failed).rejects.toThrow(sha256(was));
        await expect(failed).rejects.toThrow(sha256(is));
        expect(
          await penstock.sql(`select error->>'type' as type from sync_failures where content like '%' || $1 || '%'`, [
            entry,
          ]),
        ).toEqual([{ type: 'ContentArtifactConflict' }]);
        expect(await filesOf(entry)).toEqual([{ name: entry, path: 'fixed.txt', sha256: sha256(was) }]);
        expect(await penstock.versionsOf(entry)).toEqual([0, 1]);
      }
    });

    it('refuses another digest for a file that is still deferred', async () => {
      const declared = (content: string) => [{ name: 'lazy', files: [{ path: 'lazy.txt', sha256: sha256(content) }] }];
      await add('lazy', declared('one'), { policy: 'on_demand' });
      await penstock.sync('lazy');
      await add('lazy-too', declared('two'), { policy: 'on_demand' });
      const failed = penstock.sync('lazy-too');
      await expect(failed).rejects.toThrow(sha256('one'));
      await expect(failed).rejects.toThrow(sha256('two'));
    });
  });

  describe('natural keys', () => {
    const entries: CatalogEntry[] = [
      { name: 'keyed' },
      { name: 'keyed', version: '' },
      { name: 'keyed', version: 'null' },
      { name: 'keyed', edition: 0 },
      { name: 'keyed', edition: -7, labels: [] },
      { name: 'keyed', labels: ['a', 'b,"c"\\', ''] },
      { name: 'keyed', labels: ['b', 'a'], extra: { deep: [1, null, 'ü'] } },
      { name: 'keyed', extra: 'text' },
      { name: 'keyed', extra: false },
      { name: 'keyed', signed: false },
      { name: 'keyed\t\\N\n"', signed: true },
    ];

    it('keeps fields of every type, null among them, and knows them again', async () => {
      await add('keyed', entries);
      await expect(penstock.sync('keyed')).resolves.toMatchObject({ added: entries.length });
      const rows = await penstock.sql(
        `select name, version, edition, labels, extra, signed from catalog_entries
          where starts_with(name, 'keyed') order by content_id`,
      );
      const nothing = { version: null, edition: null, labels: null, extra: null, signed: null };
      expect(rows).toHaveLength(entries.length);
      expect(rows).toEqual(expect.arrayContaining(entries.map((entry) => ({ ...nothing, ...entry }))));

      await expect(penstock.sync('keyed', { optimize: false })).resolves.toMatchObject({ changed: false });
      await add('keyed-too', entries);
      await expect(penstock.sync('keyed-too')).resolves.toMatchObject({ added: entries.length });
      expect(await penstock.sql(`select from catalog_entries where starts_with(name, 'keyed')`)).toHaveLength(
        entries.length,
      );
    });

    it('makes one row of the same content twice in a batch', async () => {
      const twice = [{ name: 'twice', extra: { b: 1, a: [2] } }, { name: 'twice' }];
      await add('twice', [...twice, { name: 'twice', extra: { a: [2], b: 1 } }, ...twice]);
      await expect(penstock.sync('twice')).resolves.toMatchObject({ added: 2, present: 2 });
      expect(await penstock.sql(`select from catalog_entries where name = 'twice'`)).toHaveLength(2);
    });

    it('makes one row of the same content in two batches', async () => {
      const once = { name: 'again', files: [{ path: 'again.txt', sha256: sha256('again') }] };
      upstream.put('again.txt', 'again');
      await add('again', [once, once], {}, 'one-by-one');
      await expect(penstock.sync('again')).resolves.toMatchObject({ added: 1, downloaded: 1 });
      expect(await filesOf('again')).toHaveLength(1);
      expect(await penstock.sql(`select batches from syncs order by id desc limit 1`)).toEqual([{ batches: 2 }]);
    });

    it('makes one row of what two syncs declare at the same time', async () => {
      const many = Array.from({ length: 1500 }, (_, index) => ({
        name: `common-${(index * 7919) % 1500}`,
        files: [{ path: `${index}/file.txt`, urls: [`${index % 100}.txt`], sha256: sha256(`common ${index % 100}`) }],
      }));
      for (let index = 0; index < 100; index += 1) upstream.put(`${index}.txt`, `common ${index}`);
      const names = ['common-a', 'common-b'];
      await add('common-a', many);
      await add('common-b', [...many].reverse());
      const results = await Promise.all(names.map((name) => penstock.sync(name)));
      expect(results.map(({ added }) => added)).toEqual([1500, 1500]);
      expect(await penstock.sql(`select from catalog_entries where starts_with(name, 'common-')`)).toHaveLength(1500);
      expect(
        await penstock.sql(
          `select from contents where not exists (select from catalog_entries where content_id = contents.id)`,
        ),
      ).toEqual([]);
      expect(upstream.requests.filter((path) => path.endsWith('.txt')).length).toBe(100);
    });

    it.each([
      ['an integer that is text', { edition: 'one' }],
      ['an integer beyond 32 bits', { edition: 2 ** 31 }],
      ['a list of numbers', { labels: [1] }],
      ['a NUL in a list', { labels: ['a\u0000'] }],
      ['a NUL deep in JSON', { extra: { a: ['\u0000'] } }],
      ['half of a surrogate pair', { version: '\ud800' }],
    ])('refuses %s, and names the content', async (_, field) => {
      const name = `ill-${JSON.stringify(field).length}-${Object.keys(field).join()}`;
      await add(name, [{ name, ...(field as Partial<CatalogEntry>) }]);
      await expect(penstock.sync(name)).rejects.toMatchObject({
        type: 'InvalidMetadata',
        message: expect.stringContaining(name),
      });
    });
  });

  describe('references', () => {
    it('ties contents of one and of several batches, in any order', async () => {
      await add(
        'referring',
        [
          { name: 'tied-list', needs: [{ name: 'tied-late', version: '2' }, { name: 'tied-early' }] },
          { name: 'tied-early', needs: [{ name: 'tied-list' }] },
          { name: 'tied-late', version: '2' },
        ],
        {},
        'one-by-one',
      );
      await penstock.sync('referring');
      expect(
        await penstock.sql(
          `select referring.name, reference.name as by, target.name as target
             from content_references reference
             join catalog_entries referring on referring.content_id = reference.content_id
             join catalog_entries target on target.content_id = reference.referenced_id
            where starts_with(referring.name, 'tied-') order by 1, 3`,
        ),
      ).toEqual([
        { name: 'tied-early', by: 'needs', target: 'tied-list' },
        { name: 'tied-list', by: 'needs', target: 'tied-early' },
        { name: 'tied-list', by: 'needs', target: 'tied-late' },
      ]);
    });

    it('names a reference that stays open', async () => {
      // Saved, but not in this repository's version.
      await add('elsewhere', [{ name: 'target', version: '1' }]);
      await penstock.sync('elsewhere');
      await add('dangling', [{ name: 'dangling', needs: [{ name: 'target', version: '1' }] }]);
      await expect(penstock.sync('dangling')).rejects.toMatchObject({
        type: 'InvalidVersion',
        message: expect.stringMatching(/"dangling".*"needs".*"target"/),
      });
      expect(await penstock.versionsOf('dangling')).toEqual([0]);

      await add('dangling-2', [
        { name: 'dangling', needs: [{ name: 'target', version: '1' }] },
        { name: 'target', version: '1' },
      ]);
      await expect(penstock.sync('dangling-2')).resolves.toMatchObject({ added: 2 });
    });
  });

  it('downloads what only md5 is known of where that is allowed', async () => {
    const lenient = await Penstock.start({ plugins: [catalog], env: { PENSTOCK_ALLOW_WEAK_DIGESTS: 'true' } });
    try {
      upstream.put('weak.txt', 'weak');
      const entry = { name: 'weak', files: [{ path: 'weak.txt', md5: digest('md5', 'weak') }] };
      upstream.put('lenient.json', JSON.stringify([entry]));
      await lenient.addRepository('lenient', { url: `${upstream.origin}/lenient.json` }, 'catalog');
      await expect(lenient.sync('lenient')).resolves.toMatchObject({ downloaded: 1 });
      expect(await lenient.sql('select sha256, md5 from artifacts')).toEqual([
        { sha256: sha256('weak'), md5: digest('md5', 'weak') },
      ]);
    } finally {
      await lenient.stop();
    }
  });
});
