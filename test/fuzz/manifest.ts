import assert from 'node:assert/strict';
import { Readable } from 'node:stream';

import fc from 'fast-check';

import { faultOfPath } from '../../src/plugins/declared-values';
import { readManifest } from '../../src/plugins/file/manifest';
import { InvalidMetadata } from '../../src/plugins/invalid-metadata';
import { urlBeside } from '../../src/plugins/url-beside';
import type { Fuzzer } from './fuzzer';
import { mutationsOf, textOrNasty } from './mutations';

const url = 'http://upstream.example/files/PULP_MANIFEST';
const digest = 'ab'.repeat(32);

const path = fc
  .array(textOrNasty(['a', 'b.txt', 'c d', 'ü', '.x']), { minLength: 1, maxLength: 4 })
  .map((all) => all.join('/'));
const line = fc
  .tuple(
    path,
    fc.constantFrom(digest, digest.toUpperCase()),
    fc.nat().map(String),
    fc.constantFrom('\n', '\r\n', '\n\n'),
  )
  .map(([name, sha256, size, end]) => `${name},${sha256},${size}${end}`);
const manifests = fc.array(line, { maxLength: 6 }).map((lines) => Buffer.from(lines.join('')));

/** Reads a manifest to its end: entries that lead nowhere else, or a message for people. */
export async function readAnyManifest(chunks: readonly Buffer[]): Promise<string> {
  const entries: string[] = [];
  try {
    for await (const { relativePath, sha256, size } of readManifest({ url, stream: () => Readable.from(chunks) })) {
      assert.equal(faultOfPath(relativePath), undefined);
      assert.match(urlBeside(url, relativePath), /^http:\/\/upstream\.example\/files\/[^?#]+$/);
      assert.match(sha256, /^[0-9a-f]{64}$/);
      assert.ok(Number.isSafeInteger(size) && size >= 0);
      entries.push(`${relativePath} ${sha256} ${size}`);
    }
  } catch (error) {
    if (!(error instanceof InvalidMetadata)) throw error;
    assert.ok(error.message.length < 2000, 'its message is short');
    entries.push(error.message);
  }
  return entries.join('\n');
}

/** The manifest of plain files: it means the same in whatever chunks it comes. */
export const manifest: Fuzzer = {
  name: 'manifest',
  inputs: mutationsOf(manifests),
  check: async (input) => {
    const third = Math.ceil(input.length / 3);
    const chunks = [input.subarray(0, third), input.subarray(third, 2 * third), input.subarray(2 * third)];
    assert.equal(await readAnyManifest(chunks), await readAnyManifest([input]));
  },
};
