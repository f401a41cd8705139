import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { downloadArtifact } from '../../src/downloads/download-artifact';
import { hasChanged } from '../../src/downloads/fetch-metadata';
import { failureOf, remoteOf, setUp, type SetUp } from './set-up';
import { sha256Of } from './upstream';

let root: string;
let allowed: string;
let context: SetUp;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'penstock-files-')));
  allowed = join(root, 'mirror');
  await mkdir(join(allowed, 'folder'), { recursive: true });
  await mkdir(join(root, 'mirror-of-others'));
  await writeFile(join(allowed, 'a b%'), 'bytes');
  await writeFile(join(root, 'mirror-of-others', 'secret'), 'secret');
  context = await setUp(remoteOf(pathToFileURL(join(allowed, 'PULP_MANIFEST')).href), [allowed]);
});
afterEach(async () => {
  await context.tearDown();
  await rm(root, { recursive: true });
});

const urlOf = (path: string) => pathToFileURL(join(root, path)).href;
const get = (url: string) => downloadArtifact({ urls: [url], digests: {} }, context);

describe('a file url', () => {
  it('is read below an allowed folder, also through a link that stays there', async () => {
    await symlink(join(allowed, 'a b%'), join(allowed, 'folder', 'link'));
    expect(await get(urlOf('mirror/a b%'))).toMatchObject({ sha256: sha256Of('bytes'), size: 5 });
    expect(await get(urlOf('mirror/folder/link'))).toMatchObject({ sha256: sha256Of('bytes') });
  });

  it('is read through an allowed folder that is a link itself', async () => {
    await symlink(allowed, join(root, 'link'));
    const linked = await setUp(remoteOf(urlOf('link')), [join(root, 'link')]);
    const download = downloadArtifact({ urls: [urlOf('link/a b%')], digests: {} }, linked);
    expect(await download).toMatchObject({ size: 5 });
    await linked.tearDown();
  });

  it('is compared by its bytes when asked whether it changed', async () => {
    const pin = { url: urlOf('mirror/a b%'), sha256: sha256Of('bytes'), size: 5, etag: null, lastModified: null };
    expect(await hasChanged(pin, context)).toBe(false);
    await writeFile(join(allowed, 'a b%'), 'other');
    expect(await hasChanged(pin, context)).toBe(true);
  });

  it.each([
    ['outside the allowed folders', 'file:///etc/passwd'],
    ['in a folder whose name only begins like an allowed one', 'mirror-of-others/secret'],
    ['reached by climbing', 'mirror/../mirror-of-others/secret'],
    ['outside, and not there', 'nothing/here'],
    ['of another host', 'file://host/share/secret'],
    ['with an encoded slash', 'file:///etc%2Fpasswd'],
  ])('is refused %s', async (_where, path) => {
    const url = path.startsWith('file:') ? path : `${pathToFileURL(root).href}/${path}`;
    const failure = await failureOf(get(url));
    expect(failure.failures[0]).toMatchObject({ attempts: 1, error: { name: 'RefusedUrl', transient: false } });
    expect(await context.temporaryFiles()).toEqual([]);
  });

  it.each(['file', 'folder'])('is refused through a link to a %s outside', async (kind) => {
    const target = join(root, 'mirror-of-others');
    await symlink(kind === 'file' ? join(target, 'secret') : target, join(allowed, 'link'));
    const failure = await failureOf(get(urlOf(kind === 'file' ? 'mirror/link' : 'mirror/link/secret')));
    expect(failure.message).toMatch(/it is not, or links to what is not, below an allowed folder/);
    expect(failure.message).toContain(`PENSTOCK_ALLOWED_FILE_PATHS (${allowed})`);
  });

  it('that is not there, or no regular file, is told as such and not tried again', async () => {
    execFileSync('mkfifo', [join(allowed, 'pipe')]);
    const reasons = {
      'mirror/missing': 'the file cannot be read (there is none)',
      'mirror/folder': 'the file cannot be read (it is no regular file)',
      'mirror/pipe': 'the file cannot be read (it is no regular file)',
    };
    for (const [path, reason] of Object.entries(reasons)) {
      const failure = await failureOf(get(urlOf(path)));
      expect(failure.message).toBe(`Could not download ${urlOf(path)}: ${reason} (1 attempt)`);
    }
  });

  it('is refused, also below an allowed folder, where the remote itself is reached by HTTP', async () => {
    const http = await setUp(remoteOf('http://upstream.example/PULP_MANIFEST'), [allowed]);
    const failure = await failureOf(downloadArtifact({ urls: [urlOf('mirror/a b%')], digests: {} }, http));
    expect(failure.failures[0]).toMatchObject({ attempts: 1, error: { name: 'RefusedUrl', transient: false } });
    expect(failure.message).toContain("it names a local file, and the remote's own url does not");
    await http.tearDown();
  });

  it('is checked like any other body', async () => {
    const failure = await failureOf(downloadArtifact({ urls: [urlOf('mirror/a b%')], digests: {}, size: 4 }, context));
    expect(failure.message).toContain('expected 4 bytes, found 5');
  });
});
