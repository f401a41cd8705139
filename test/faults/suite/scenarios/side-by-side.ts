import { setTimeout as sleep } from 'node:timers/promises';

import { said, unexpected } from '../round';
import type { Round } from '../round';
import type { Scenario } from './scenario';

/** Something else happens beside a sync. */
export const sideBySide: readonly Scenario[] = [
  { name: 'overlapping-syncs', workers: 2, run: overlap },
  { name: 'delete-a-repository-that-syncs', run: deleteWhileSyncing },
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
