import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { displayTarget, displayUrl } from '../downloads/display-url';
import { InvalidSetting } from '../errors';
import { isStorageKey } from './storage-key';

/** Where files are stored, as `PENSTOCK_STORAGE` says. */
export type StoragePlace = FilePlace | S3Place;

/** A folder of the file system. */
export interface FilePlace {
  readonly kind: 'file';
  readonly root: string;
}

/** A part of a bucket in an S3-compatible store. */
export interface S3Place {
  readonly kind: 's3';
  readonly bucket: string;
  /** Names joined by "/", which all keys lie below; may be empty. */
  readonly prefix: string;
  /** Whether the bucket is in a request's path, not its host: so it is where the store's address is given, as those have no wildcard names. */
  readonly pathStyle: boolean;
}

/** Characters of a prefix: a key of S3 has 1,024 bytes at most, and what Penstock puts below takes a part of them. */
const longestPrefix = 512;

/**
 * Reads `PENSTOCK_STORAGE`.
 *
 * @param dataDir - where the storage lies below, if nothing is said
 * @throws {@link InvalidSetting}
 */
export function readStoragePlace(env: Readonly<Record<string, string | undefined>>, dataDir: string): StoragePlace {
  const given = env.PENSTOCK_STORAGE;
  if (!given) return { kind: 'file', root: join(dataDir, 'storage') };
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url?.protocol === 'file:' && !url.host && !url.search && !url.hash) {
    try {
      return { kind: 'file', root: fileURLToPath(url) };
    } catch {
      // An escape that is none, or that of a slash: refused as below.
    }
  }
  if (url?.protocol === 's3:') {
    const pathStyle = Boolean(env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL);
    return { kind: 's3', ...readBucket(url), pathStyle };
  }
  const found = displayUrl(given);
  throw new InvalidSetting(
    `PENSTOCK_STORAGE must be a url such as file:///srv/penstock or s3://bucket/prefix; found "${found}".`,
    { expected: 'file:///… or s3://…', found },
  );
}

/** The rules of a bucket's name: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
function readBucket(url: URL): Pick<S3Place, 'bucket' | 'prefix'> {
  const refuse = (expected: string): never => {
    const found = displayTarget(url);
    throw new InvalidSetting(`PENSTOCK_STORAGE is "${found}": expected ${expected}.`, { expected, found });
  };
  if (url.username || url.password)
    refuse('no credentials in it: they belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile');
  if (url.port) refuse('no port in it: the address of an own store belongs into AWS_ENDPOINT_URL_S3');
  if (url.search || url.hash) refuse('nothing behind "?" or "#"');
  const { hostname: bucket } = url;
  if (!/^[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]$/.test(bucket) || /^[\d.]+$/.test(bucket))
    refuse('a bucket of 3 to 63 small letters, digits, "-" and single "."');
  const prefix = url.pathname.replace(/^\/|\/$/g, '');
  if (prefix !== '' && (!isStorageKey(prefix) || prefix.length > longestPrefix))
    refuse(`a prefix of names of letters, digits and _.@+=- joined by "/", ${longestPrefix} characters at most`);
  return { bucket, prefix };
}

/** A place for people: a folder, or a url. */
export function describePlace(place: StoragePlace): string {
  if (place.kind === 'file') return place.root;
  return place.prefix === '' ? `s3://${place.bucket}` : `s3://${place.bucket}/${place.prefix}`;
}
