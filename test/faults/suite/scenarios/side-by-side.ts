import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { artifactKey } from '../../../../src/storage/storage';
import { said, unexpected } from '../round';
import type { Round } from '../round';
import { sha256 } from '../upstream';
import type { Scenario } from './scenario';

/** Something else happens beside a sync. */
export const sideBySide: readonly Scenario[] = [
  { name: 'overlapping-syncs', workers: 2, run: overlap },
  { name: 'delete-a-repository-that-syncs', run: deleteWhileSyncing },
  { name: 'clean-beside-syncs', workers: 2, run: cleanBesideSyncs },
  { name: 'repair-beside-a-sync', workers: 2, run: repairBesideSync },
];

/** Two repositories have most of their content in common, and are synced at once. */
async function overlap(round: Round): Promise<void> {
  const { random } = round;
  const common = round.makeFiles(random.int(600, 1000), { prefix: 'common' });
  const strikes = random.int(0, 1);
  const syncs = ['one', 'two'].map(async (name) => {
    const own = round.makeFiles(random.int(100, 300), { prefix: name });
    const files = new Map(random.shuffled([...common, ...own]));
    const upstream = await round.addUpstream(files);
    upstream.delay = 10;
    return { repository: round.named(name), files, upstream };
  });
  const both = await Promise.all(syncs);
  await Promise.all(
    both.map(({ repository, upstream }, index) =>
      round.sync(repository, {
        args: round.remote(upstream),
        meanwhile: async (sync) => {
          if (index >= strikes) return;
          await round.moment(sync, upstream, 500);
          await round.strike('worker');
        },
      }),
    ),
  );
  for (const { repository, files, upstream } of both)
    await round.requireWhole(repository, files, { upstream, strikes });
}

/** It is refused while the sync runs. Once its workflow was terminated nothing of the sync gets in the way, nor writes any more. */
async function deleteWhileSyncing(round: Round): Promise<void> {
  const { random, installation } = round;
  const { penstock } = installation;
  const files = round.makeFiles(random.int(600, 1000));
  const upstream = await round.addUpstream(files);
  // The commands that follow take their time.
  upstream.delay = 150;
  const repository = round.named('files');
  const kill = random.chance(0.5);
  await round.trySync(repository, {
    args: round.remote(upstream),
    meanwhile: async (sync) => {
      await round.downloaded(sync, upstream, { files: random.int(20, 100) });
      const refused = await installation.run('repository', 'delete', repository);
      if (refused.status !== 1 || !said(refused).includes('is being synced')) {
        throw unexpected('deleting a repository that syncs', refused);
      }
      if (kill) await round.kill('worker');
      await penstock.client.workflow.getHandle(`sync/${repository}`).terminate('by the fault suite');
      const deleted = await installation.run('repository', 'delete', repository);
      if (deleted.status !== 0) throw unexpected('deleting a repository whose sync was killed', deleted);
    },
  });
  if (kill) await round.startAgain('worker');
  // Until activities that were under way have noticed.
  await sleep(3000);
  const left = await penstock.sql('select id from repositories union all select id from syncs');
  if (left.length > 0) throw new Error(`${left.length} rows are left of a repository that was deleted.`);
  await round.requireNoProblem();

  upstream.delay = 5;
  // What the first sync has stored is found again.
  await round.sync(repository, { args: ['--url', upstream.url] });
  await round.requireWhole(repository, files, { upstream, strikes: 1 });
}

/** What no version holds any more is cleaned away without any protection, while two syncs find and store just that. */
async function cleanBesideSyncs(round: Round): Promise<void> {
  const { random, installation } = round;
  const files = round.makeFiles(random.int(600, 1000));
  const upstream = await round.addUpstream(files);
  const old = round.named('old');
  await round.sync(old, { args: round.remote(upstream) });
  const deleted = await installation.run('repository', 'delete', old);
  if (deleted.status !== 0) throw unexpected('deleting a repository', deleted);

  upstream.delay = 10;
  const names = ['one', 'two'].map((name) => round.named(name));
  let cleanings = 0;
  const cleaning = new AbortController();
  const clean = async () => {
    while (!cleaning.signal.aborted) {
      const cleaned = await installation.run('clean', '--protection', '0s');
      if (cleaned.status !== 0) throw unexpected('penstock clean', cleaned);
      cleanings += 1;
    }
  };
  const cleaned = clean();
  try {
    await Promise.all(names.map((name) => round.sync(name, { args: ['--url', upstream.url] })));
  } finally {
    cleaning.abort();
  }
  await cleaned;
  if (cleanings === 0) throw new Error('Nothing was cleaned beside the syncs.');
  // What was cleaned is fetched again, as often as that.
  for (const name of names) await round.requireWhole(name, files);
}

/** Files that are lost and rotten are mended while another sync takes the same ones into use. */
async function repairBesideSync(round: Round): Promise<void> {
  const { random, installation } = round;
  const files = round.makeFiles(random.int(600, 1000));
  const upstream = await round.addUpstream(files);
  const first = round.named('first');
  await round.sync(first, { args: round.remote(upstream) });
  const damaged = random.shuffled([...files].filter(([, content]) => content.length > 0)).slice(0, random.int(5, 20));
  for (const [index, [, content]] of damaged.entries()) {
    const file = join(installation.storageDir, artifactKey(sha256(content)));
    if (index % 2 === 0) await rm(file);
    else await writeFile(file, Buffer.alloc(content.length));
  }

  const more = new Map([...files, ...round.makeFiles(random.int(300, 500), { prefix: 'more' })]);
  const second = await round.addUpstream(more);
  second.delay = 10;
  const other = round.named('other');
  const strikes = random.int(0, 1);
  await round.sync(other, {
    args: round.remote(second),
    meanwhile: async (sync) => {
      const repair = installation.run('repair');
      if (strikes > 0) {
        await round.moment(sync, second, 200);
        await round.strike('worker');
      }
      const repaired = await repair;
      if (repaired.status !== 0) throw unexpected('penstock repair', repaired);
    },
  });
  await round.requireWhole(first, files);
  await round.requireWhole(other, more);
}
