import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { failSync } from '../harness/failed-sync';
import { Penstock } from '../harness/penstock';

const digest = sha256('good');

let penstock: Penstock;

beforeAll(async () => {
  penstock = await Penstock.start();
});
afterAll(() => penstock.stop());

describe('a manifest that is bad', () => {
  let upstream: FileRepository;
  let name: string;
  let count = 0;

  beforeEach(async () => {
    name = `repository-${(count += 1)}`;
    upstream = await FileRepository.start({ 'good.txt': `good for ${name}` });
    await penstock.addRepository(name, { url: upstream.url, max_retries: 1 });
  });
  afterEach(() => upstream.stop());

  /** Upstream is mended, and the same sync completes the version that was begun. */
  async function expectMended(): Promise<void> {
    upstream.putManifest(undefined);
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, present: 1, downloaded: 1 });
    expect(upstream.downloads).toEqual(['good.txt']);
  }

  it('because it is missing, is named with the status', async () => {
    upstream.misbehave.set('PULP_MANIFEST', (_, response) => response.writeHead(404).end());
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: false });
    expect(failed.message).toBe(
      `Repository "${name}": Could not download ${upstream.url}: the server answered 404 (1 attempt). ` +
        'Once upstream or the remote is mended, sync again: what is saved already is kept.',
    );
    expect(failed.details).toMatchObject({ url: upstream.url, expected: '200', found: '404' });
    upstream.misbehave.clear();
    await expectMended();
  });

  it('because the server cannot answer now, may be well the next time', async () => {
    upstream.misbehave.set('PULP_MANIFEST', (_, response) => response.writeHead(503).end());
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: true });
    expect(failed.message).toContain(`${upstream.url}: the server answered 503 (2 attempts). Sync again later`);
    upstream.misbehave.clear();
    await expectMended();
  });

  it('far down, loses nothing of what came before', async () => {
    for (const [path, content] of Object.entries(numberedFiles(1050))) upstream.put(path, content);
    upstream.remove('good.txt');
    const lines = Object.keys(numberedFiles(1050)).map((path) => upstream.lineOf(path));
    upstream.putManifest([...lines.slice(0, 1020), 'broken', ...lines.slice(1020)].join('\n'));
    const failed = await failSync(penstock, name);
    expect(failed.message).toContain(`${upstream.url}, line 1021: expected path,sha256,size, found "broken"`);
    const again = await failSync(penstock, name);
    expect(again.message).toBe(failed.message);
    expect(upstream.downloads).toHaveLength(1000);

    upstream.putManifest(undefined);
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 1050, downloaded: 50 });
    expect(upstream.repeated.filter((path) => path !== 'PULP_MANIFEST')).toEqual([]);
  });

  it('now, but was good before, harms nothing that is there', async () => {
    await penstock.sync(name);
    upstream.misbehave.set('PULP_MANIFEST', (_, response) => response.writeHead(404).end());
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: false });
    expect(failed.message).toContain(`${upstream.url}: the server answered 404`);
    upstream.misbehave.clear();
    upstream.putManifest('broken');
    expect((await failSync(penstock, name, { mode: 'mirror' })).message).toContain('line 1: expected path,sha256,size');
    expect(await penstock.pathsOf(name, 1)).toEqual(['good.txt']);
    upstream.putManifest(undefined);
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, changed: false, present: 1 });
    expect(upstream.downloads).toEqual(['good.txt']);
  });

  it('because it is larger than any manifest, is refused before it is read', async () => {
    let sent = 0;
    upstream.misbehave.set('PULP_MANIFEST', (_, response) => {
      response.writeHead(200, { 'content-length': 2 * 1024 ** 3 });
      response.write(Buffer.alloc(1024, '\n'));
      sent += 1;
    });
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: false });
    expect(failed.message).toContain(`${upstream.url}: the body is larger than the limit of ${1024 ** 3} bytes`);
    expect(sent).toBe(1);
    upstream.misbehave.clear();
    await expectMended();
  });
});

/** What the manifest is, the manifest, and what the error says of it. */
const badLines: readonly [string, string | Buffer, string][] = [
  ['is a page', '<!doctype html>\n<title>Sign in</title>', 'line 1: expected path,sha256,size (this looks like a page'],
  ['is not UTF-8', Buffer.from(`good.txt,${digest},4\nb\xfc,${digest},4\n`, 'latin1'), 'line 2: the line is not UTF-8'],
  [
    'has a line without a size',
    `good.txt,${digest},4\n\nb,${digest}\n`,
    'line 3: expected path,sha256,size, found "b,',
  ],
  ['has a digest that is too short', `b,${digest.slice(1)},4`, 'line 1: Not a sha256 digest: expected 64 hexadecimal'],
  ['has a digest that is not hexadecimal', `b,${'x'.repeat(64)},4`, 'line 1: Not a sha256 digest: expected 64 hexa'],
  ['has a negative size', `b,${digest},-4`, 'line 1: expected the size as a number of bytes, found "-4"'],
  ['has half a byte', `b,${digest},12.5`, 'line 1: expected the size as a number of bytes, found "12.5"'],
  ['has a size in another notation', `b,${digest},1e3`, 'line 1: expected the size as a number of bytes, found "1e3"'],
  ['has an absurd size', `b,${digest},${2n ** 63n}`, 'line 1: the size is larger than 1 PiB'],
  ['has an absolute path', `/etc/b,${digest},4`, 'line 1: the path is absolute, found "/etc/b,'],
  ['has a path that leads out', `a/../../b,${digest},4`, 'line 1: the path has a segment "..", found "a/../../b,'],
  ['has a path with a backslash', `..\\b,${digest},4`, 'line 1: the path has a backslash, found "..\\\\b,'],
  ['has a path with a NUL', `b\0,${digest},4`, 'line 1: the path has a control character, found "b\\u0000,'],
  [
    'has a path with an escape sequence',
    `\x1b[2Jb,${digest},4`,
    'line 1: the path has a control character, found "\\u001b',
  ],
  ['has an empty path', `,${digest},4`, 'line 1: '],
  ['has a path with an empty segment', `a//b,${digest},4`, 'line 1: the path has an empty segment'],
  ['has a path with a dot', `./a,${digest},4`, 'line 1: the path has a segment "."'],
  ['has a path that is too long', `${'a/'.repeat(2000)}b,${digest},4`, 'line 1: the path is longer than 2048 bytes'],
];

describe('a manifest of which a line', () => {
  let outcomes: Record<string, ReturnType<typeof failAndMend>>;

  beforeAll(async () => {
    // All at once, each in a repository of its own.
    outcomes = Object.fromEntries(badLines.map(([what, manifest]) => [what, failAndMend(what, manifest)]));
    await Promise.allSettled(Object.values(outcomes));
  });

  /** Syncs a repository with this manifest, and again once upstream has put the right one in its place. */
  async function failAndMend(name: string, manifest: string | Buffer) {
    const upstream = await FileRepository.start({ 'good.txt': `good for ${name}` });
    try {
      await penstock.addRepository(name, { url: upstream.url });
      upstream.putManifest(manifest);
      const failed = await failSync(penstock, name);
      upstream.putManifest(undefined);
      return { url: upstream.url, failed, mended: await penstock.sync(name), downloads: upstream.downloads };
    } finally {
      await upstream.stop();
    }
  }

  it.each(badLines)('%s, is named with it', async (name, _, what) => {
    const { url, failed, mended, downloads } = await (outcomes[name] ?? Promise.reject(new Error('was not run')));
    expect(failed).toMatchObject({ type: 'InvalidMetadata', transient: false });
    expect(failed.message).toContain(`Repository "${name}": ${url}, ${what}`);
    expect(failed.message).toContain('Once upstream is mended, sync again');
    expect(failed.details).toMatchObject({ url, line: Number(/line (\d)/.exec(what)?.[1]) });
    expect(mended).toMatchObject({ version: 1, present: 1, downloaded: 1 });
    expect(downloads).toEqual(['good.txt']);
  });
});

describe('a manifest that is good, though unusual', () => {
  let upstream: FileRepository;

  beforeEach(async () => {
    upstream = await FileRepository.start();
  });
  afterEach(() => upstream.stop());

  it('may be empty: an empty repository stays without a new version', async () => {
    await penstock.addRepository('empty', { url: upstream.url });
    await expect(penstock.sync('empty')).resolves.toMatchObject({ version: 0, changed: false, present: 0 });
    expect(await penstock.versionsOf('empty')).toEqual([0]);
    await expect(penstock.sync('empty')).resolves.toMatchObject({ version: 0, skipped: true });
  });

  it('may have become empty: a mirror removes all, and without mirroring all stays', async () => {
    for (const path of ['a', 'b']) upstream.put(path, path);
    await penstock.addRepository('emptied', { url: upstream.url });
    await penstock.sync('emptied');
    for (const path of ['a', 'b']) upstream.remove(path);
    await expect(penstock.sync('emptied')).resolves.toMatchObject({ version: 1, changed: false, present: 2 });
    await expect(penstock.sync('emptied', { mode: 'mirror' })).resolves.toMatchObject({
      version: 2,
      added: 0,
      removed: 2,
      present: 0,
    });
    expect(await penstock.pathsOf('emptied', 2)).toEqual([]);
    expect(await penstock.pathsOf('emptied', 1)).toEqual(['a', 'b']);
  });

  it('may have the same line twice: that is one unit, and one download', async () => {
    for (const [path, content] of Object.entries(numberedFiles(3, 'twice'))) upstream.put(path, content);
    const lines = Object.keys(numberedFiles(3, 'twice')).map((path) => upstream.lineOf(path));
    upstream.putManifest([...lines, ...lines, ...lines].join('\n'));
    await penstock.addRepository('twice', { url: upstream.url });
    await expect(penstock.sync('twice')).resolves.toMatchObject({ version: 1, added: 3, present: 3 });
    expect(upstream.downloads).toHaveLength(3);
  });

  it('may have the same line twice, also far apart', async () => {
    for (const [path, content] of Object.entries(numberedFiles(1100, 'far'))) upstream.put(path, content);
    const lines = Object.keys(numberedFiles(1100, 'far')).map((path) => upstream.lineOf(path));
    upstream.putManifest([...lines, ...lines.slice(0, 3)].join('\n'));
    await penstock.addRepository('far', { url: upstream.url, policy: 'on_demand' });
    await expect(penstock.sync('far')).resolves.toMatchObject({ version: 1, added: 1100, present: 1100 });
  });

  it('may have any names, line ends and a byte order mark: each file is fetched from its own url', async () => {
    const paths = [
      '100%.txt',
      '%2e%2e/x',
      '~tilde/!$&\'()*;=:@[]^`{|}"<>',
      'a b.txt',
      'a#b?c=d&e+f.txt',
      'commas, one, two.txt',
      'http://x'.replace('//', '/'),
      'é/é/日本語/🙂.txt',
      '\u2028line',
    ];
    for (const path of paths) upstream.put(path, `content of ${path}`);
    upstream.putManifest(`\uFEFF# a comment\r\n${paths.map((path) => `${upstream.lineOf(path)}\r\n\r\n`).join('')}`);
    await penstock.addRepository('names', { url: `${upstream.origin}/PULP_MANIFEST?token=1#x` });
    await expect(penstock.sync('names')).resolves.toMatchObject({ version: 1, added: paths.length });
    expect([...upstream.downloads].sort()).toEqual([...paths].sort());
    expect(await penstock.contentsOf('names', 1)).toEqual(
      Object.fromEntries(paths.map((path) => [path, `content of ${path}`])),
    );
  });

  it('may have the longest names, of which no two are alike', async () => {
    const segment = (seed: number) => Array.from({ length: 3 }, (_, part) => sha256(`${seed}.${part}`)).join('');
    const path = Array.from({ length: 10 }, (_, index) => segment(index)).join('/');
    upstream.put(path, 'deep');
    await penstock.addRepository('long', { url: upstream.url });
    await expect(penstock.sync('long')).resolves.toMatchObject({ version: 1, added: 1 });
    expect(path.length).toBeGreaterThan(1900);
  });
});
