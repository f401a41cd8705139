import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { mendArtifact } from '../../activities/mend-artifact';
import type { SourceRemotes } from '../../src/fetching/source-remotes';
import { findFault } from '../../src/consistency/artifact-file';
import type { Fault } from '../../src/consistency/artifact-file';
import { FileStorage } from '../../src/storage/file-storage';
import { artifactKey } from '../../src/storage/storage';
import { sha256 } from '../harness/file-repository';

const content = 'content';
const artifact = {
  ...{ key: '1', sha256: sha256(content), size: content.length },
  ...{ sha512: null, sha384: null, sha224: null, sha1: null, md5: null },
};
const { signal } = new AbortController();
let folder: string;
let storage: FileStorage;
/** How many reads the disk answers with an error. */
let badReads = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-'));
  const opened = await FileStorage.open(folder);
  const read = opened.read.bind(opened);
  storage = Object.assign(opened, {
    read: (key: string) => {
      badReads -= 1;
      return badReads >= 0 ? new PassThrough().destroy(new Error('EIO: i/o error, read')) : read(key);
    },
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Without any source: what is bad is set aside. */
function mend(fault: Fault | undefined): Promise<string | undefined> {
  if (!fault) throw new Error('Nothing is wrong.');
  const remotes = undefined as unknown as SourceRemotes;
  return mendArtifact({ storage, remotes, signal }, fault, []);
}

it.each([
  ['once', 1],
  ['again and again', 9],
])('leaves a file in place that could not be read %s, as it may be whole', async (_, times) => {
  const writer = storage.create();
  await writer.write(Buffer.from(content));
  await writer.commit(artifactKey(artifact.sha256));
  badReads = times;
  const unreadable = await findFault(storage, artifact, { deep: true, signal });
  expect(unreadable).toMatchObject({ kind: 'artifactFileUnreadable' });
  expect(await mend(unreadable)).toMatch(/cannot be read \(EIO/);
  // Also where it could be read a moment before, and was found to be another.
  badReads = times;
  await mend(unreadable && { ...unreadable, kind: 'artifactFileDigest' });
  badReads = 0;
  expect(await findFault(storage, artifact, { deep: true, signal })).toBeUndefined();
  expect(await readdir(join(folder, 'corrupted'))).toEqual([]);
});
