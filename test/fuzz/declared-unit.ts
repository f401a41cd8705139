import assert from 'node:assert/strict';

import fc from 'fast-check';

import { defineContent } from '../../src/plugins/content-type';
import { checkUnit } from '../../src/plugins/declared-unit';
import { InvalidMetadata } from '../../src/plugins/invalid-metadata';
import { definePlugin } from '../../src/plugins/plugin';
import type { DeclaredUnit } from '../../src/plugins/plugin';
import type { Fuzzer } from './fuzzer';
import { mutationsOf, textOrNasty } from './mutations';

const Package = defineContent({
  name: 'fuzz.package',
  table: 'fuzz_packages',
  fields: { name: 'text', epoch: 'integer?', source: 'boolean?', tags: 'text[]?', more: 'jsonb?' },
  naturalKey: ['name', 'epoch'],
});

async function* nothing(): AsyncGenerator<DeclaredUnit> {
  // This plugin is only asked what it knows.
}

const plugin = definePlugin({ name: 'fuzz', contents: [Package], firstStage: { start: nothing, index: nothing } });

const anything = fc.jsonValue({ maxDepth: 4 });
const orAnything = <T>(usual: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: anything });
const paths = fc.array(textOrNasty(['a', 'b.txt', 'dir']), { maxLength: 4 }).map((all) => all.join('/'));
const urls = textOrNasty([
  'http://upstream.example/a',
  'https://x:1/é?q#f',
  'file:///a',
  'http://u:p@h/',
  'data:,a',
  'http://[::1]/',
]);
const artifact = fc.record(
  {
    relativePath: orAnything(paths),
    url: orAnything(fc.oneof(urls, fc.array(urls, { maxLength: 3 }))),
    size: orAnything(fc.oneof(fc.nat(), fc.double())),
    sha256: orAnything(textOrNasty(['ab'.repeat(32), 'AB'.repeat(32)])),
    md5: orAnything(textOrNasty(['ab'.repeat(16)])),
    deferred: orAnything(fc.boolean()),
  },
  { requiredKeys: ['relativePath', 'url'] },
);
const fields = fc.record(
  {
    name: orAnything(textOrNasty(['penstock'])),
    epoch: orAnything(fc.integer()),
    source: orAnything(fc.boolean()),
    tags: orAnything(fc.array(textOrNasty(['tag']), { maxLength: 3 })),
    more: anything,
  },
  { requiredKeys: ['name'] },
);
const unit = fc.record(
  {
    content: orAnything(fc.record({ type: textOrNasty([Package.name]), fields: orAnything(fields) })),
    artifacts: orAnything(fc.array(artifact, { maxLength: 3 })),
    then: orAnything(textOrNasty(['index', 'start', 'toString'])),
    references: orAnything(
      fc.dictionary(
        fc.string({ maxLength: 5 }),
        orAnything(
          fc.array(fc.record({ type: textOrNasty([Package.name]), key: orAnything(fields) }), { maxLength: 2 }),
        ),
      ),
    ),
  },
  { requiredKeys: ['content'] },
);

/** What a first stage declares, as JSON that upstream has sent may make it. */
export const declaredUnit: Fuzzer = {
  name: 'declared-unit',
  inputs: mutationsOf(unit.map((each) => Buffer.from(JSON.stringify(each)))),
  check: (input) => {
    const declared = parseJson(input);
    if (declared === undefined) return Promise.resolve();
    try {
      const checked = checkUnit(declared as DeclaredUnit, plugin, { url: 'http://upstream.example/', deferred: false });
      for (const { relativePath, urls: found, size, digests } of checked.artifacts) {
        requirePlainPath(relativePath);
        for (const each of found) assert.match(new URL(each).protocol, /^(https?|file):$/);
        assert.ok(size === null || (Number.isSafeInteger(size) && size >= 0));
        for (const digest of Object.values(digests)) assert.match(digest, /^[0-9a-f]+$/);
      }
      // What PostgreSQL cannot hold as text or JSON.
      assert.doesNotMatch(JSON.stringify(checked), /\\u0000|\\ud[89a-f]/);
    } catch (error) {
      if (!(error instanceof InvalidMetadata)) throw error;
      assert.ok(error.message.length < 3000, 'its message is short');
    }
    return Promise.resolve();
  },
};

/** Said in other words than the product says it. */
function requirePlainPath(path: string): void {
  const resolved = new URL(path.split('/').map(encodeURIComponent).join('/'), 'http://host/root/').pathname;
  assert.ok(resolved.startsWith('/root/') && resolved.length > '/root/'.length, `${JSON.stringify(path)} stays below`);
  assert.equal(resolved.split('/').length, path.split('/').length + 2);
  assert.doesNotMatch(path, /[\u0000-\u001f\u007f-\u009f\\]/);
}

function parseJson(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString());
  } catch {
    return undefined;
  }
}
