import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { asError } from '../../src/errors';
import { defineContent } from '../../src/plugins/content-type';
import { checkUnit } from '../../src/plugins/declared-unit';
import { faultOfPath } from '../../src/plugins/declared-values';
import { InvalidMetadata } from '../../src/plugins/invalid-metadata';
import { definePlugin } from '../../src/plugins/plugin';
import type { DeclaredArtifact, DeclaredUnit } from '../../src/plugins/plugin';

const Package = defineContent({
  name: 'test.package',
  table: 'test_packages',
  fields: {
    name: 'text',
    epoch: 'integer?',
    source: 'boolean?',
    tags: 'text[]?',
    more: 'jsonb?',
  },
  naturalKey: ['name', 'epoch'],
});

async function* nothing(): AsyncGenerator<DeclaredUnit> {
  // This plugin is only asked what it knows.
}

const plugin = definePlugin({
  name: 'test',
  contents: [Package],
  firstStage: { start: nothing, index: nothing },
});
const source = { url: 'http://upstream.example/index', deferred: false };
const digest = 'ab'.repeat(32);
const artifact: DeclaredArtifact = { url: 'http://upstream.example/a', relativePath: 'a', sha256: digest, size: 1 };

const check = (unit: DeclaredUnit) => checkUnit(unit, plugin, source);
const withFields = (fields: Record<string, unknown>): DeclaredUnit => ({
  content: { type: Package.name, fields: { name: 'a', ...fields } },
});
const withArtifact = (values: Partial<DeclaredArtifact>): DeclaredUnit => ({
  ...withFields({}),
  artifacts: [{ ...artifact, ...values }],
});

function faultOf(unit: DeclaredUnit): string {
  try {
    check(unit);
  } catch (error) {
    if (error instanceof InvalidMetadata) return error.message;
    throw error;
  }
  throw new Error('The unit was taken.');
}

describe('a declared unit', () => {
  it('is staged as it was declared, digests in lower case', () => {
    const content = Package.declare({ name: 'a', epoch: 1, source: false, tags: ['x'], more: { deep: [1, null] } });
    const checked = check({
      content,
      artifacts: [
        { ...artifact, sha256: digest.toUpperCase() },
        { url: ['http://one/b', 'file:///b'], relativePath: 'b' },
      ],
      then: 'index',
      references: { needs: [Package.key({ name: 'b', epoch: null })] },
    });
    expect(checked).toEqual({
      content,
      bytes: Buffer.byteLength(JSON.stringify(content.fields)),
      artifacts: [
        { relativePath: 'a', urls: [artifact.url], size: 1, digests: { sha256: digest }, deferred: false },
        { relativePath: 'b', urls: ['http://one/b', 'file:///b'], size: null, digests: {}, deferred: false },
      ],
      step: 'index',
      references: [{ type: 'test.package', key: { name: 'b', epoch: null }, name: 'needs' }],
    });
  });

  it('names the content and the metadata that it is from', () => {
    expect(faultOf(withArtifact({ relativePath: '../a' }))).toBe(
      'http://upstream.example/index: test.package {"name":"a"}: "../a": the path has a segment "..".',
    );
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a NUL in a text', { name: 'a\u0000' }, 'name has a NUL'],
    ['half a surrogate pair', { name: 'a\ud800' }, 'name is not Unicode text'],
    ['a NUL in a list', { tags: ['a', '\u0000'] }, 'tags has a NUL'],
    ['a NUL deep in JSON', { more: { list: [{ '\u0000': 1 }] } }, 'more has a NUL'],
    [
      'JSON that is nested too deeply',
      { more: JSON.parse('['.repeat(5000) + ']'.repeat(5000)) as unknown },
      '100 levels',
    ],
    ['a NUL in what is no column', { other: '\u0000' }, 'other has a NUL'],
    ['a number for a text', { name: 5 }, 'name is not a text'],
    ['no natural key', { name: null }, 'name is missing'],
    ['a fraction', { epoch: 1.5 }, 'epoch is not a whole number'],
    ['a number that PostgreSQL cannot hold', { epoch: 2 ** 31 }, 'epoch is not a whole number'],
    ['a text for a truth', { source: 'yes' }, 'source is neither true nor false'],
    ['a text for a list', { tags: 'a' }, 'tags is not a list of texts'],
    ['a BigInt', { epoch: 1n }, 'epoch has a BigInt, which JSON cannot hold'],
    ['a BigInt deep in JSON', { more: { list: [1n] } }, 'more has a BigInt'],
    ['a BigInt for its name', { name: 1n }, 'test.package {"name":"1n"}: name has a BigInt'],
    ['more than 16 MiB', { more: 'é'.repeat(8 * 1024 ** 2) }, 'test.package {"name":"a"}: its fields have 16777'],
    ['what cannot be written as JSON', { more: { toJSON: () => 1n } }, 'its fields cannot be written as JSON'],
    ['a natural key that no index can hold', { name: 'a'.repeat(3000) }, 'at most 2500 are possible'],
  ])('with %s is refused', (_, fields, fault) => {
    expect(faultOf(withFields(fields))).toContain(fault);
  });

  it.each<[string, Partial<DeclaredArtifact>, string]>([
    ['an empty path', { relativePath: '' }, 'the path is empty'],
    ['half a surrogate pair in its path', { relativePath: 'a\udc00' }, 'not Unicode text'],
    ['no url', { url: [] }, 'it has no url'],
    ['what is no url', { url: '/a' }, 'it is not a url'],
    ['an unknown scheme', { url: 'ftp://upstream.example/a' }, 'the scheme "ftp" is none of http, https, file'],
    ['a script for a url', { url: 'javascript:alert(1)' }, 'the scheme "javascript"'],
    ['a NUL in its url', { url: 'http://upstream.example/\u0000' }, 'the url has a control character'],
    ['half a surrogate pair in its url', { url: 'http://upstream.example/\ud800' }, 'the url is not Unicode text'],
    ['a negative size', { size: -1 }, 'the size is negative'],
    ['a fraction of a size', { size: 12.5 }, 'not a whole number'],
    ['an absurd size', { size: 2 ** 63 }, 'larger than 1 PiB'],
    ['no number for a size', { size: NaN }, 'not a whole number'],
    ['a short digest', { sha256: digest.slice(2) }, 'expected 64 hexadecimal digits, found'],
    ['a digest of another kind', { md5: digest }, 'expected 32 hexadecimal digits, found'],
    ['a digest that is not hexadecimal', { sha1: 'z'.repeat(40) }, 'expected 40 hexadecimal digits, found'],
  ])('with a file that has %s is refused', (_, values, fault) => {
    expect(faultOf(withArtifact(values))).toContain(fault);
  });

  it.each<[string, unknown, string]>([
    ['a file without a url', { ...artifact, url: undefined }, '"a": its url is no text: undefined'],
    ['a file with an empty url in a list', { ...artifact, url: ['http://a/', null] }, '"a": its url is no text: null'],
    ['a file without a path', { ...artifact, relativePath: undefined }, 'has no text for a path: undefined'],
    ['a file with no digest', { ...artifact, sha256: null }, '"a": its sha256 is no text: null'],
    ['a file with a number for a digest', { ...artifact, md5: 5n }, '"a": its md5 is no text: "5n"'],
    ['a file with a BigInt for a size', { ...artifact, size: 5n }, '"a": the size is not a whole number'],
    [
      'a file with a text for a truth',
      { ...artifact, deferred: 'no' },
      '"a": deferred is neither true nor false: "no"',
    ],
    ['a file that is none', null, 'one of its artifacts is no object: null'],
  ])('with %s is refused by name, whatever its types have promised', (_, file, fault) => {
    expect(faultOf({ ...withFields({}), artifacts: [file as DeclaredArtifact] })).toContain(
      `http://upstream.example/index: test.package {"name":"a"}: ${fault.startsWith('"') ? fault : ''}`,
    );
    expect(faultOf({ ...withFields({}), artifacts: [file as DeclaredArtifact] })).toContain(fault);
  });

  it.each<[unknown, string]>([
    [undefined, 'no unit with a content: undefined'],
    [{}, 'no unit with a content: {}'],
    [{ content: { type: 'test.package' } }, 'test.package: its fields are no object'],
    [{ ...withFields({}), artifacts: {} }, 'its artifacts are no list'],
    [{ ...withFields({}), references: { needs: null } }, 'its reference "needs" is no list of keys'],
    [{ ...withFields({}), references: { needs: [{ type: 'test.package' }] } }, 'what is no type with a key'],
  ])('such as %j is refused', (unit, fault) => {
    expect(faultOf(unit as DeclaredUnit)).toContain(fault);
  });

  it('with credentials in a url is refused, and they are not shown', () => {
    const fault = faultOf(withArtifact({ url: ['http://upstream.example/a', 'http://me:hunter2@upstream.example/a'] }));
    expect(fault).toContain('the url has credentials inside');
    expect(fault).not.toContain('hunter2');
  });

  it('with two files of one path is refused', () => {
    expect(faultOf({ ...withFields({}), artifacts: [artifact, artifact] })).toContain(
      'two of its files have the path "a"',
    );
  });

  it('with a future, a reference or a type that the plugin does not know is refused', () => {
    expect(faultOf({ ...withFields({}), then: 'other' })).toContain('names the step "other"');
    expect(faultOf({ ...withFields({}), then: 'start' })).toContain('names the step "start"');
    expect(faultOf({ ...withFields({}), then: 'toString' })).toContain('names the step "toString"');
    const toNowhere = { needs: [{ type: 'test.other', key: {} }] };
    expect(faultOf({ ...withFields({}), references: toNowhere })).toContain('unknown type "test.other"');
    const nul = { needs: [{ type: 'test.package', key: { name: '\u0000' } }] };
    expect(faultOf({ ...withFields({}), references: nul })).toContain('its reference "needs": name has a NUL');
    expect(faultOf({ content: { type: 'test.other', fields: {} } })).toContain('no such content type');
  });
});

describe('anything that a first stage may declare', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('a', '/', '.', '\\', '\0', '\ud800', '%', ':', '@', '?', '#') }),
    fc.constantFrom('http://upstream.example/a', 'file:///a', digest),
  );
  const number = fc.oneof(fc.double(), fc.integer());
  const fields = fc.record({
    name: fc.oneof(text, fc.anything()),
    epoch: fc.oneof(number, text),
    more: fc.jsonValue(),
  });
  const artifacts = fc.array(
    fc.record(
      {
        url: fc.oneof(text, fc.array(text, { maxLength: 3 })),
        relativePath: text,
        size: number,
        sha256: text,
        md5: text,
      },
      { requiredKeys: ['url', 'relativePath'] },
    ),
    { maxLength: 3 },
  );

  it('is a unit that can be stored and leads nowhere else, or invalid metadata', () => {
    fc.assert(
      fc.property(fields, artifacts, (values, files) => {
        try {
          const checked = check({ content: { type: Package.name, fields: values }, artifacts: files });
          for (const { relativePath, urls, size, digests } of checked.artifacts) {
            expect(faultOfPath(relativePath)).toBeUndefined();
            expect(urls.every((url) => /^(https?|file):$/.test(new URL(url).protocol))).toBe(true);
            expect(size === null || (size >= 0 && size <= 2 ** 50)).toBe(true);
            expect(Object.values(digests).every((each) => /^[0-9a-f]{32,128}$/.test(each))).toBe(true);
          }
        } catch (error) {
          if (!(error instanceof InvalidMetadata)) throw asError(error);
          expect(error.message.length).toBeLessThan(2000);
        }
      }),
      { numRuns: 500 },
    );
  });
});
