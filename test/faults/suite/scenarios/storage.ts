import { execFile, spawnSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import type { RunningCommand } from '../../../cli/penstock-command';
import { asError } from '../../../../src/errors';
import { artifactKey } from '../../../../src/storage/storage';
import { Omitted, said, unexpected } from '../round';
import type { Round } from '../round';
import { sha256 } from '../upstream';
import type { Scenario } from './scenario';

const run = promisify(execFile);

/** The disk gets full, or somebody has laid hands on the files. */
export const storage: readonly Scenario[] = [
  { name: 'disk-full', workers: 0, run: fillDisk },
  { name: 'files-damaged', run: damageFiles },
];

async function fillDisk(round: Round): Promise<void> {
  const { random, installation } = round;
  const { storageDir } = installation;
  await mkdir(storageDir);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=64m,mode=700', 'tmpfs', storageDir]).catch((error: unknown) => {
    throw new Omitted(`a small file system cannot be mounted here (${asError(error).message.trim()})`);
  });
  round.afterwards(() => spawnSync('umount', ['--lazy', storageDir]));
  await installation.startWorker();

  const files = round.makeFiles(random.int(300, 600), { large: random.int(4, 8) });
  const upstream = await round.addUpstream(files);
  upstream.delay = 20;
  const repository = round.named('files');
  const filler = join(storageDir, 'filler');
  let reason = '';
  const first = await round.trySync(repository, {
    args: round.remote(upstream),
    meanwhile: async (sync) => {
      await round.downloaded(sync, upstream, { files: random.int(20, 100) });
      const filled = await writeFile(filler, Buffer.alloc(64 * 1024 * 1024)).catch((error: unknown) => asError(error));
      if (!filled?.message.includes('ENOSPC')) throw new Error('The disk is not full.');
      reason = await reasonOfPause(round, repository, sync);
      await rm(filler);
      if (reason === '') return;
      const resumed = await installation.run('sync', 'resume', repository);
      if (resumed.status !== 0) throw unexpected('penstock sync resume', resumed);
    },
  });
  if (reason === '' && first.status !== 3) throw unexpected('a sync on a disk that is full', first);
  if (!/space|full|room/i.test(reason || said(first))) throw unexpected('a sync that has to say why it stands', first);
  if (first.status !== 0) await round.sync(repository);
  await round.requireWhole(repository, files, { upstream, strikes: 1 });
}

/** Why the sync was paused; empty where it has ended instead. */
async function reasonOfPause(round: Round, repository: string, sync: RunningCommand): Promise<string> {
  const { penstock } = round.installation;
  while (sync.child.exitCode === null) {
    const [row] = await penstock.sql<{ paused: unknown }>(
      `select to_jsonb(sync)->'paused' as paused
         from syncs sync join repositories repository on repository.id = sync.repository_id
        where repository.name = $1 order by sync.id desc limit 1`,
      [repository],
    );
    if (row?.paused) return JSON.stringify(row.paused);
    await sleep(100);
  }
  return '';
}

async function damageFiles(round: Round): Promise<void> {
  const { random, installation } = round;
  const files = round.makeFiles(random.int(300, 600));
  const upstream = await round.addUpstream(files);
  const repository = round.named('files');
  await round.sync(repository, { args: round.remote(upstream) });
  await round.requireWhole(repository, files, { upstream });

  const [removed = '', flipped = '', cut = ''] = random.shuffled(
    [...files.keys()].filter((path) => files.get(path)?.length),
  );
  const keyOf = (path: string) => artifactKey(sha256(files.get(path) ?? Buffer.alloc(0)));
  const fileOf = (path: string) => join(installation.storageDir, keyOf(path));
  await rm(fileOf(removed));
  await writeFile(fileOf(cut), (await readFile(fileOf(cut))).subarray(1));
  const bytes = await readFile(fileOf(flipped));
  const place = random.int(0, bytes.length - 1);
  bytes.writeUInt8(bytes.readUInt8(place) ^ (1 << random.int(0, 7)), place);
  await writeFile(fileOf(flipped), bytes);

  const { problems } = await round.check('--deep');
  const found = problems.map(({ kind, path }) => `${kind} ${path ?? ''}`).sort();
  const expected = [
    `artifactFileDigest ${keyOf(flipped)}`,
    `artifactFileMissing ${keyOf(removed)}`,
    `artifactFileSize ${keyOf(cut)}`,
  ];
  if (found.join() !== expected.join()) throw new Error(`penstock check --deep has found:\n${found.join('\n')}`);

  // As the checker says: a sync looks for a file and its size, not for its bytes.
  await rm(fileOf(flipped));
  await round.sync(repository, { args: ['--no-optimize'] });
  const wanted = [removed, flipped, cut].sort();
  if (upstream.asked.join() !== wanted.join()) throw new Error(`Asked for again: ${upstream.asked.join(', ')}`);
  await round.requireWhole(repository, files, { upstream });
}
