import { setTimeout as sleep } from 'node:timers/promises';

import type { Round, Victim } from '../round';
import type { Files, Upstream } from '../upstream';
import type { Scenario } from './scenario';

type Policy = 'immediate' | 'on_demand' | 'mirror';

/** `kill -9` at random moments of a sync, and nobody does anything about the sync. */
export const kills: readonly Scenario[] = [
  { name: 'kill-worker', run: (round) => killing(round, ['worker']) },
  { name: 'kill-one-of-two-workers', workers: 2, run: (round) => killing(round, ['worker']) },
  { name: 'kill-temporal', run: (round) => killing(round, ['temporal']) },
  { name: 'kill-postgres', run: (round) => killing(round, ['postgres']) },
  { name: 'kill-all', run: (round) => killing(round, ['worker', 'temporal', 'postgres']) },
];

async function killing(round: Round, victims: readonly Victim[]): Promise<void> {
  const { random } = round;
  const policy = random.pick<Policy>(['immediate', 'immediate', 'on_demand', 'mirror']);
  const repository = round.named(policy);
  const { upstream, files, args } = await setUp(round, repository, policy);
  const strikes = random.int(1, 4);
  await round.sync(repository, {
    args,
    meanwhile: async (sync) => {
      for (let strike = 0; strike < strikes; strike += 1) {
        await round.moment(sync, upstream, Math.floor(files.size / strikes));
        await round.strike(...victims);
      }
    },
  });
  if (upstream.manifestReads > 1 + strikes) throw new Error(`The manifest was read ${upstream.manifestReads} times.`);
  await round.requireWhole(repository, files, { stored: policy !== 'on_demand', upstream, strikes });
}

async function setUp(
  round: Round,
  repository: string,
  policy: Policy,
): Promise<{ upstream: Upstream; files: Files; args: string[] }> {
  const { random } = round;
  const before = round.makeFiles(policy === 'on_demand' ? random.int(4000, 8000) : random.int(1000, 2000));
  const upstream = await round.addUpstream(before);
  if (policy !== 'mirror') {
    upstream.delay = random.int(5, 25);
    upstream.manifestTime = policy === 'on_demand' ? 1500 : 0;
    return { upstream, files: before, args: round.remote(upstream, '--policy', policy) };
  }
  await round.sync(repository, { args: round.remote(upstream) });
  await round.requireWhole(repository, before, { upstream });
  const files = round.changeFiles(before, random.int(500, 1500));
  upstream.publish(files);
  upstream.delay = random.int(5, 25);
  return { upstream, files, args: ['--mirror'] };
}

/** A service is away for a while: the sync waits and goes on. */
export const outages: readonly Scenario[] = (['postgres', 'temporal'] as const).map((service) => ({
  name: `${service}-away`,
  workers: 2,
  run: async (round) => {
    const files = round.makeFiles(round.random.int(800, 1500));
    const upstream = await round.addUpstream(files);
    upstream.delay = 20;
    const repository = round.named('files');
    await round.sync(repository, {
      args: round.remote(upstream),
      meanwhile: async (sync) => {
        await round.downloaded(sync, upstream, { files: round.random.int(50, files.size / 2) });
        await round.kill(service);
        await sleep(round.outage * 1000);
        await round.startAgain(service);
      },
    });
    await round.requireWhole(repository, files, { upstream, strikes: 1 });
  },
}));
