import fc from 'fast-check';

/** What parsers stumble over. */
const nasty = [
  '\0',
  '\n',
  '\r',
  '\r\n',
  ',',
  ':',
  ';',
  '/',
  '\\',
  '..',
  '../',
  '%2e%2e',
  '%00',
  '\ufeff',
  '\ud800',
  '\u0085',
  '\u202e',
  'é',
  '"',
  'W/',
  '-',
  '-1',
  '0',
  '00',
  '1e9',
  '0x10',
  String(2 ** 31),
  String(2n ** 53n),
  String(2n ** 64n),
  '9'.repeat(400),
  'NaN',
  ' ',
  '\t',
  'bytes ',
  'a'.repeat(300),
  'é'.repeat(2000),
  '__proto__',
  'constructor',
  '[',
  '{',
  '<html>',
  '@',
  '#',
  '?',
] as const;

const bytes = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...nasty).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }).map((each) => Buffer.from(each)) },
);

/** Replaces `removed` bytes at a place by others, or repeats what is there. */
const mutation = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  removed: fc.oneof(fc.constant(0), fc.nat(4), fc.nat(80)),
  bytes,
  repeat: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(300) }),
});

/** Inputs that are nearly right: valid ones with some changes. Pure chance would hardly ever make a field. */
export function mutationsOf(valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc.tuple(valid, fc.array(mutation, { maxLength: 4 })).map(([input, mutations]) => {
    let mutated = input;
    for (const { at, removed, bytes: inserted, repeat } of mutations) {
      const place = Math.floor(at * mutated.length);
      const end = place + removed;
      const middle = repeat > 0 ? Buffer.concat(Array<Buffer>(repeat).fill(mutated.subarray(place, end))) : inserted;
      mutated = Buffer.concat([mutated.subarray(0, place), middle, mutated.subarray(end)]);
    }
    return mutated;
  });
}

/** A text that one of the others may stand in for. */
export function textOrNasty(usual: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(fc.constantFrom(...usual), fc.constantFrom(...nasty), fc.string({ unit: 'binary', maxLength: 20 }));
}
