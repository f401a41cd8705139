import { PenstockError } from '../errors';

/** The digests that are known of files, the one to look for first first. */
export const digestNames = ['sha256', 'sha512', 'sha384', 'sha224', 'sha1', 'md5'] as const;

export type DigestName = (typeof digestNames)[number];

/** Digests of one file in lower-case hexadecimal. */
export type Digests = Readonly<Partial<Record<DigestName, string>>>;

const hexLength: Readonly<Record<DigestName, number>> = {
  sha256: 64,
  sha512: 128,
  sha384: 96,
  sha224: 56,
  sha1: 40,
  md5: 32,
};

/** Digests for which other bytes with the same digest can be made. */
const weakDigests: ReadonlySet<DigestName> = new Set(['sha1', 'md5']);

export function isWeakDigest(name: DigestName): boolean {
  return weakDigests.has(name);
}

/** A declared digest is not hexadecimal, or not as long as its kind is. */
export class InvalidDigest extends PenstockError {}

/** Nothing but sha1 or md5 is known of a file. */
export class WeakDigest extends PenstockError {}

/**
 * Checks a declared digest and gives it in lower case.
 *
 * @throws {@link InvalidDigest}
 */
export function parseDigest(name: DigestName, value: string): string {
  const length = hexLength[name];
  if (value.length === length && /^[0-9a-fA-F]+$/.test(value)) return value.toLowerCase();
  throw new InvalidDigest(
    `Not a ${name} digest: expected ${length} hexadecimal digits, found ${JSON.stringify(value.slice(0, 160))}.`,
    {
      expected: `${length} hexadecimal digits`,
      found: value.slice(0, 160),
    },
  );
}

/**
 * Checks all of a file's declared digests and gives them in lower case.
 *
 * @throws {@link InvalidDigest}
 */
export function parseDigests(digests: Digests): Digests {
  const parsed: Partial<Record<DigestName, string>> = {};
  for (const name of declaredNames(digests)) parsed[name] = parseDigest(name, digests[name] ?? '');
  return parsed;
}

/** Which digests are declared, best first. */
export function declaredNames(digests: Digests): readonly DigestName[] {
  return digestNames.filter((name) => digests[name] !== undefined);
}

/** The best digest that cannot be forged, as `sha256:ab…`; `undefined` where there is none. */
export function bestStrongDigest(digests: Digests): string | undefined {
  const name = declaredNames(digests).find((declared) => !weakDigests.has(declared));
  return name && `${name}:${digests[name] ?? ''}`;
}

/**
 * Refuses a file of which only weak digests are known. A file of which no digest is known at all passes: it promises nothing.
 *
 * @throws {@link WeakDigest}
 */
export function refuseWeakDigests(digests: Digests, url: string): void {
  const names = declaredNames(digests);
  if (names.length === 0 || names.some((name) => !weakDigests.has(name))) return;
  const found = names.join(' and ');
  throw new WeakDigest(
    `Only ${found} is known of ${url}: anyone can make other bytes with the same digest. ` +
      'To download it nevertheless, set PENSTOCK_ALLOW_WEAK_DIGESTS=true.',
    { url, expected: 'sha256, sha512, sha384 or sha224', found },
  );
}
