import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import type { Round } from '../round';
import { fingerprint } from '../versions';
import type { Scenario } from './scenario';

/** A worker stands still for longer than the heartbeat timeout of its activities, which is 10 seconds, while another one goes on. */
export const stoppedWorker: readonly Scenario[] = [{ name: 'stop-worker', run: stopWorker }];

async function stopWorker(round: Round): Promise<void> {
  const { random, installation } = round;
  const comesBack = random.pick(['while the sync goes on', 'after the sync'] as const);
  const { pool } = installation.penstock.database;
  const files = round.makeFiles(random.int(1200, 2000));
  const upstream = await round.addUpstream(files);
  upstream.delay = comesBack === 'after the sync' ? 10 : 60;
  const repository = round.named('files');
  const [stale] = installation.workers;
  await round.sync(repository, {
    args: round.remote(upstream),
    meanwhile: async (sync) => {
      await round.downloaded(sync, upstream, { files: random.int(50, files.size / 2) });
      stale?.child.kill('SIGSTOP');
      await installation.startWorker();
      await sleep(random.int(11_000, 13_000));
      if (comesBack === 'while the sync goes on') stale?.child.kill('SIGCONT');
    },
  });
  const before = await fingerprint(pool);
  stale?.child.kill('SIGCONT');
  // It sees at its next write, or with its next heartbeat, that it is no longer the current one.
  await sleep(5000);
  const after = await fingerprint(pool);
  if (!isDeepStrictEqual(after, before)) {
    throw new Error(`The stale attempt has changed rows: ${JSON.stringify({ before, after })}`);
  }
  // What was in flight at the stop, and at the SIGCONT.
  await round.requireWhole(repository, files, { upstream, strikes: 2 });
}
