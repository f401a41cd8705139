import { Readable } from 'node:stream';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { asError } from '../../src/errors';
import { faultOfPath } from '../../src/plugins/declared-values';
import { readManifest } from '../../src/plugins/file/manifest';
import type { ManifestEntry } from '../../src/plugins/file/manifest';
import { InvalidMetadata } from '../../src/plugins/invalid-metadata';

const url = 'http://upstream.example/files/PULP_MANIFEST';
const digest = 'ab'.repeat(32);

/** The entries of a manifest that comes in these chunks. */
async function entriesOf(...chunks: readonly (string | Uint8Array)[]): Promise<ManifestEntry[]> {
  const buffers = chunks.map((chunk) => Buffer.from(chunk));
  const entries: ManifestEntry[] = [];
  for await (const entry of readManifest({ url, stream: () => Readable.from(buffers) })) entries.push(entry);
  return entries;
}

async function pathsOf(...chunks: readonly (string | Uint8Array)[]): Promise<string[]> {
  return (await entriesOf(...chunks)).map(({ relativePath }) => relativePath);
}

async function faultOf(manifest: string | Uint8Array): Promise<InvalidMetadata> {
  const fault = await entriesOf(manifest).then(
    (entries) => new Error(`It was read: ${JSON.stringify(entries)}`),
    asError,
  );
  if (!(fault instanceof InvalidMetadata)) throw fault;
  return fault;
}

describe('a manifest', () => {
  it('has a line for each file', async () => {
    expect(await entriesOf(`a.txt,${digest},12\nb/c.txt,${digest.toUpperCase()},0\n`)).toEqual([
      { relativePath: 'a.txt', sha256: digest, size: 12 },
      { relativePath: 'b/c.txt', sha256: digest, size: 0 },
    ]);
  });

  it('may be empty', async () => {
    expect(await entriesOf()).toEqual([]);
    expect(await entriesOf('')).toEqual([]);
    expect(await entriesOf('\uFEFF')).toEqual([]);
    expect(await entriesOf('\n\r\n  \n\t\n')).toEqual([]);
  });

  it('may end without a line feed, and have lines that end with CRLF', async () => {
    expect(await pathsOf(`a,${digest},1\r\n\r\nb,${digest},2\r\n  \nc,${digest},3`)).toEqual(['a', 'b', 'c']);
  });

  it('may begin with a byte order mark, which is part of a name anywhere else', async () => {
    expect(await pathsOf(`\uFEFFa,${digest},1\n\uFEFFb,${digest},2\n`)).toEqual(['a', '\uFEFFb']);
  });

  it('may have comments, and spaces around the fields', async () => {
    expect(await entriesOf(`# made by hand\n#a,${digest},1\n  a b.txt , ${digest} , 7 \n`)).toEqual([
      { relativePath: 'a b.txt', sha256: digest, size: 7 },
    ]);
  });

  it.each([
    'a,b,c.txt',
    'ü/日本語/🙂.txt',
    '100%.txt',
    '%2e%2e/%2Fx',
    'a b',
    'a#b',
    'a?b=c',
    'a+b',
    '..a',
    'a..',
    '...',
    '~',
    ':',
  ])('takes the path %j as it is', async (path) => {
    expect(await pathsOf(`${path},${digest},1\n`)).toEqual([path]);
  });

  it.each([
    ['/etc/passwd', 'absolute'],
    ['//host/share', 'absolute'],
    ['../a', '".."'],
    ['a/../b', '".."'],
    ['a/..', '".."'],
    ['./a', '"."'],
    ['a/./b', '"."'],
    ['.', '"."'],
    ['a//b', 'empty segment'],
    ['a/', 'empty segment'],
    ['', 'empty'],
    ['..\\a', 'backslash'],
    ['C:\\a', 'backslash'],
    ['a\u0000b', 'control character'],
    ['a\tb', 'control character'],
    ['\ta', 'control character'],
    ['a\rb', 'control character'],
    ['a\u001bb', 'control character'],
    ['a\u007fb', 'control character'],
    ['a\u0085b', 'control character'],
  ])('refuses the path %j: %s', async (path, what) => {
    const fault = await faultOf(`good.txt,${digest},1\n${path},${digest},1\n`);
    expect(fault.message).toContain(`${url}, line 2: `);
    expect(fault.message).toContain(what);
    expect(fault.details).toMatchObject({ url, line: 2 });
  });

  it('refuses paths that no file system and no index can hold', async () => {
    expect((await faultOf(`${'a/'.repeat(1024)}b,${digest},1\n`)).message).toContain('longer than 2048 bytes');
    expect((await faultOf(`${'ü'.repeat(128)},${digest},1\n`)).message).toContain('longer than 255 bytes');
    expect(await pathsOf(`${'a/'.repeat(1023)}bc,${digest},1\n`)).toHaveLength(1);
  });

  it.each(['-1', '+1', '1e3', '12.5', '0x10', '', 'ten', '1_000', '١', 'NaN', 'Infinity'])(
    'refuses the size %j',
    async (size) => {
      const fault = await faultOf(`a,${digest},${size}\n`);
      expect(fault.message).toContain(`line 1: expected the size as a number of bytes, found ${JSON.stringify(size)}`);
    },
  );

  it.each([String(2n ** 63n), String(2n ** 53n), String(2n ** 50n + 1n), '9'.repeat(310)])(
    'refuses the absurd size %s',
    async (size) => {
      expect((await faultOf(`a,${digest},${size}\n`)).message).toContain('line 1: the size is larger than 1 PiB');
    },
  );

  it.each([digest.slice(1), `${digest}0`, 'g'.repeat(64), '', 'd41d8cd98f00b204e9800998ecf8427e'])(
    'refuses the digest %j, saying what a digest is',
    async (wrong) => {
      const { message } = await faultOf(`a,${wrong},1\n`);
      expect(message).toContain(`line 1: Not a sha256 digest: expected 64 hexadecimal digits, found "${wrong}"`);
    },
  );

  it.each(['a.txt', 'a.txt,1', `a.txt,${digest}`, ',', `,${digest}`])('refuses the line %j', async (line) => {
    const fault = await faultOf(`good.txt,${digest},1\n\n${line}\n`);
    expect(fault.message).toContain(`${url}, line 3: expected path,sha256,size, found ${JSON.stringify(line)}`);
    expect(fault.details).toMatchObject({ line: 3, expected: 'path,sha256,size', found: line });
  });

  it.each(['<!DOCTYPE html>\n<html>', '\uFEFF<html>', '<?xml version="1.0"?>', '<p>One, two, three</p>', '\n <head>'])(
    'says that %j looks like a page',
    async (page) => {
      expect((await faultOf(page)).message).toContain('this looks like a page');
    },
  );

  it('says which line is not UTF-8', async () => {
    const latin1 = Buffer.concat([Buffer.from(`a,${digest},1\n`), Buffer.from([0xfc]), Buffer.from(`,${digest},1\n`)]);
    expect((await faultOf(latin1)).message).toContain('line 2: the line is not UTF-8');
    const utf16 = Buffer.from(`\uFEFFa,${digest},1\n`, 'utf16le');
    expect((await faultOf(utf16)).message).toContain('line 1: the line is not UTF-8');
    const gzip = Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3]);
    expect((await faultOf(gzip)).message).toContain('line 1: the line is not UTF-8');
  });

  it('reads no further than a line can be long', async () => {
    let read = 0;
    const endless = Readable.from(
      (function* () {
        for (;;) {
          read += 1024;
          yield Buffer.alloc(1024, 'a');
        }
      })(),
    );
    const reading = readManifest({ url, stream: () => endless }).next();
    await expect(reading).rejects.toThrow(`${url}, line 1: the line is longer than 16384 bytes`);
    expect(read).toBeLessThan(100_000);
  });
});

describe('any bytes as a manifest', () => {
  /** Bytes as they come, and lines that are nearly right: pure chance would hardly ever make a field. */
  const path = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(fc.constantFrom('a', '.', '..', '', 'é', '\\', '\0', '%2e', ','), { maxLength: 5 })
      .map((each) => each.join('/')),
  );
  const field = fc.oneof(
    fc.constantFrom(digest, digest.slice(1), '', '0', '-1', String(2n ** 63n), '1e3'),
    fc.string(),
    fc.nat().map(String),
  );
  const line = fc.tuple(path, fc.oneof(fc.constant(digest), field), fc.oneof(fc.nat().map(String), field));
  const lines = fc
    .array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '', '\n\n')), { maxLength: 6 })
    .map((all) => Buffer.from(all.map(([fields, end]) => fields.join(',') + end).join('')));
  const manifests = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    lines,
  );

  it('are entries that lead nowhere else, or invalid metadata', async () => {
    await fc.assert(
      fc.asyncProperty(manifests, async (bytes) => {
        try {
          for (const { relativePath, sha256, size } of await entriesOf(bytes)) {
            expect(faultOfPath(relativePath)).toBeUndefined();
            expect(new URL(relativePath.split('/').map(encodeURIComponent).join('/'), url).href).toMatch(
              /^http:\/\/upstream\.example\/files\/[^?#]+$/,
            );
            expect(sha256).toMatch(/^[0-9a-f]{64}$/);
            expect(Number.isSafeInteger(size) && size >= 0).toBe(true);
          }
        } catch (error) {
          if (!(error instanceof InvalidMetadata)) throw error;
          expect(error.message.length).toBeLessThan(2000);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('mean the same in any chunks', async () => {
    const outcome = (...chunks: readonly Uint8Array[]) =>
      entriesOf(...chunks).catch((error: unknown) => asError(error).message);
    await fc.assert(
      fc.asyncProperty(manifests, fc.array(fc.nat({ max: 300 })), async (bytes, cuts) => {
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        expect(await outcome(...chunks)).toEqual(await outcome(bytes));
      }),
      { numRuns: 300 },
    );
  });
});
