import { randomBytes } from 'node:crypto';
import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { artifactKey } from '../../src/storage/storage';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { PenstockCommand, events } from './penstock-command';

/** Of this run alone: all tests share one Temporal, and with it the ids of workflows. */
const files = `checked-${randomBytes(4).toString('hex')}`;
const contents = numberedFiles(5);
let penstock: PenstockCommand;
let upstream: FileRepository;

interface Document {
  readonly checked: Readonly<Record<string, { readonly count: number | null; readonly notChecked: string | null }>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly problems: readonly Readonly<Record<string, unknown>>[];
}

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  upstream = await FileRepository.start(contents);
  await penstock.json('migrate');
  const worker = penstock.start(['worker']);
  await worker.printed('polls task queue');
  expect((await penstock.run(['sync', files, '--url', upstream.url])).status).toBe(0);
  await worker.stop();
});

afterAll(async () => {
  await penstock.remove();
  await upstream.stop();
});

const storage = () => join(penstock.folder, 'storage');
const stored = (path: string) => join(storage(), artifactKey(sha256(contents[path] ?? '')));

it('sums up what was checked, and ends with 0 where all is well', async () => {
  const { status, stdout, stderr } = await penstock.run(['check', '--deep']);
  expect(stderr).toContain('Checking the artifacts …\n');
  expect(stdout).toMatch(/^CHECKED +COUNT +TIME\ncomplete versions +2 +[\d.]+ s\n/);
  expect(stdout).toMatch(/\nartifacts +5 +/);
  expect(stdout).toMatch(/\nNo problem was found\.\n$/);
  expect(status).toBe(0);
  expect(await penstock.run(['check', '--quiet'])).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(await penstock.json<Document>('check')).toMatchObject({
    checked: { contents: { count: 5, notChecked: null }, runningSyncs: { count: 0 } },
    counts: {},
    problems: [],
  });
});

it('names what is wrong and what mends it, ends with 1, and is mended by that', async () => {
  for (const path of ['file-00001.txt', 'file-00002.txt', 'file-00003.txt']) await rm(stored(path));
  const { status, stdout } = await penstock.run(['check', '--limit', '1', '--quiet']);
  expect(stdout).toMatch(
    new RegExp(
      `^artifactFileMissing: Artifact \\d+ \\(file "file-0000\\d\\.txt" of content \\d+ in repository "${files}"\\) has to lie in the storage as artifact/\\S+: ` +
        `expected 14 bytes, found no file\\. Download .*: penstock repair ${files}\\n$`,
    ),
  );
  expect(status).toBe(1);
  const whole = await penstock.run(['check', '--limit', '1']);
  expect(whole.stdout).toContain('\nartifactFileMissing: 3 problems, of which 1 were printed (--limit)\n');

  const printed = await penstock.run(['check', '--limit', '2', '--json']);
  const document = JSON.parse(printed.stdout) as Document;
  expect(document.counts).toEqual({ artifactFileMissing: 3 });
  expect(document.problems).toHaveLength(2);
  expect(document.problems[0]).toMatchObject({
    ...{ kind: 'artifactFileMissing', repository: files, expected: '14 bytes', found: 'no file' },
    ...{ message: expect.any(String) as unknown, mend: expect.stringContaining('penstock repair') as unknown },
  });
  expect(printed.status).toBe(1);

  const worker = penstock.start(['worker']);
  await worker.printed('polls task queue');
  const repaired = await penstock.run(['repair', files]);
  expect(repaired.stdout).toMatch(/^Checked 5 artifacts, 70 B\.\n3 lost, 0 rotten; 3 mended\.\n$/);
  expect(repaired.status).toBe(0);
  await rm(stored('file-00001.txt'));
  upstream.misbehave.set('file-00001.txt', (_, response) => response.writeHead(404).end());
  const unmended = await penstock.run(['repair', '--missing-only', '--json']);
  expect(unmended.status).toBe(1);
  expect(events(unmended.stdout).at(-1)).toMatchObject({
    ...{ event: 'result', checked: 5, lost: 1, mended: 0, failed: 1 },
    failures: [{ kind: 'lost', path: 'file-00001.txt', repositories: [files] }],
  });
  expect((await penstock.run(['repair', 'nowhere'])).stderr).toContain('There is no repository "nowhere"');
  await writeFile(stored('file-00001.txt'), contents['file-00001.txt'] ?? '');
  const cleaned = await penstock.run(['clean', '--dry-run', '--protection', '0']);
  expect(cleaned.stdout).toBe('Would free 0 contents, 0 artifacts, 0 files: 0 B.\n');
  expect((await penstock.run(['clean', '--protection', 'long'])).status).toBe(2);
  await worker.stop();
  expect((await penstock.run(['check', '--deep'])).status).toBe(0);
});

it('finds other bytes only where they are read', async () => {
  await writeFile(stored('file-00004.txt'), 'FILE number 4\n');
  expect((await penstock.run(['check'])).status).toBe(0);
  const { status, stdout } = await penstock.run(['check', '--deep', '--quiet']);
  expect(stdout).toContain(`artifactFileDigest: `);
  expect(stdout).toContain(`penstock repair ${files}`);
  expect(status).toBe(1);
  await writeFile(stored('file-00004.txt'), contents['file-00004.txt'] ?? '');
});

it('takes files without a row for a problem only beyond an age', async () => {
  const stray = join(storage(), 'tmp', 'stray');
  await writeFile(stray, 'stray');
  expect((await penstock.run(['check'])).status).toBe(0);
  const { status, stdout } = await penstock.run(['check', '--older-than', '0', '--quiet']);
  expect(stdout).toMatch(/^temporaryFileLeft: File tmp\/stray /);
  expect(status).toBe(1);
  // A check removes nothing.
  expect(await readdir(join(storage(), 'tmp'))).toEqual(['stray']);
  await rm(stray);
});

it('says what it could not check where Temporal does not answer, and that the storage is not there', async () => {
  const alone = await penstock.run(['check', '--quiet'], { env: { TEMPORAL_ADDRESS: '127.0.0.1:9' } });
  expect(alone.stdout).toBe('');
  expect(alone.stderr).toMatch(/^Temporal does not answer, so it was not checked .* set TEMPORAL_ADDRESS, .*\n$/);
  expect(alone.status).toBe(0);

  await rename(storage(), `${storage()}-away`);
  const { status, stdout } = await penstock.run(['check', '--quiet']);
  await rename(`${storage()}-away`, storage());
  expect(stdout).toMatch(/^storageMissing: There are artifacts, and no storage at /);
  expect(status).toBe(1);
});
