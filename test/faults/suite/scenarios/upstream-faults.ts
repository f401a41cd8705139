import type { Round } from '../round';
import { said, unexpected } from '../round';
import type { Fault, Files, Upstream } from '../upstream';
import { readNewest } from '../versions';
import { answers, brokenBodies, otherRest, resets, wrongBytes } from './faulty-replies';
import type { Scenario } from './scenario';

/** Upstream misbehaves: what can be had in the end is had, each file once. */
export const upstreamFaults: readonly Scenario[] = [
  { name: 'upstream-breaks-bodies', run: breakBodies },
  { name: 'upstream-refuses', run: refuse },
  { name: 'upstream-fails-one-in-ten', run: failOneInTen },
  { name: 'upstream-changes-digests', run: changeDigests },
  { name: 'upstream-changes-metadata', run: changeMetadata },
];

/** Files that hold enough bytes to be broken off in the middle. */
function breakable(files: Files): string[] {
  return [...files].flatMap(([path, bytes]) => (bytes.length > 1 ? [path] : []));
}

async function breakBodies(round: Round): Promise<void> {
  const { random } = round;
  const files = round.makeFiles(random.int(200, 400), { large: 3 });
  const upstream = await round.addUpstream(files);
  const faults = new Map<string, Fault[]>();
  for (const [index, path] of random.shuffled(breakable(files)).slice(0, 60).entries()) {
    const first = brokenBodies[index % brokenBodies.length] ?? resets;
    faults.set(path, random.chance(0.2) ? [first, random.pick([resets, ...brokenBodies])] : [first]);
  }
  // What is large is broken off for sure, so that the rest of it is asked for.
  for (const path of files.keys()) if (path.includes('large')) faults.set(path, [resets, resets]);
  upstream.misbehave = (path, nth) => faults.get(path)?.[nth - 1];
  await syncUntilWhole(round, upstream, files, ['--max-retries', '5', '--sock-read-timeout', '2'], brokenBodies);
}

/** Times in which everything is refused, more than an upstream's patience lasts. */
async function refuse(round: Round): Promise<void> {
  const { random } = round;
  const files = round.makeFiles(random.int(400, 800));
  const upstream = await round.addUpstream(files);
  upstream.delay = 10;
  const refusals = random.shuffled([answers(429, { 'retry-after': '1' }), answers(503)]);
  const storms = refusals.map((fault, index) => ({
    fault,
    from: random.int(1, files.size / 2) + (index * files.size) / 2 - files.size / 4,
    milliseconds: random.int(500, 1500),
    begun: 0,
  }));
  upstream.misbehave = () => {
    const storm = storms.find(
      ({ from, begun, milliseconds }) => upstream.served >= from && (begun === 0 || Date.now() - begun < milliseconds),
    );
    if (!storm) return undefined;
    storm.begun ||= Date.now();
    return storm.fault;
  };
  await syncUntilWhole(round, upstream, files, ['--max-retries', '4'], refusals);
}

async function failOneInTen(round: Round): Promise<void> {
  const { random } = round;
  const files = round.makeFiles(random.int(800, 1200));
  const upstream = await round.addUpstream(files);
  const faults: [Fault, ...Fault[]] = [resets, answers(500), answers(503), answers(502), answers(429)];
  upstream.misbehave = (path) =>
    random.chance(0.1) && (files.get(path)?.length ?? 0) > 1 ? random.pick(faults) : undefined;
  await syncUntilWhole(round, upstream, files, ['--max-retries', '6'], faults);
}

/** Other bytes come first, or in the middle, and in the end the right ones; and one file stays another until upstream says so. */
async function changeDigests(round: Round): Promise<void> {
  const { random } = round;
  const files = round.makeFiles(random.int(100, 300), { large: 2 });
  const upstream = await round.addUpstream(files);
  const [lost = '', ...others] = random.shuffled(breakable(files)).slice(0, 30);
  const ways: [Fault[], ...Fault[][]] = [
    [wrongBytes],
    [resets, wrongBytes],
    [otherRest, otherRest],
    [wrongBytes, resets],
  ];
  const faults = new Map(others.map((path) => [path, random.pick(ways)]));
  for (const path of files.keys()) if (path.includes('large') && path !== lost) faults.set(path, [resets, otherRest]);
  upstream.misbehave = (path, nth) => (path === lost ? wrongBytes : faults.get(path)?.[nth - 1]);

  const repository = round.named('files');
  const failed = await round.trySync(repository, { args: round.remote(upstream, '--max-retries', '3') });
  if (failed.status === 0 || !said(failed).includes(lost)) throw unexpected('a sync that has to name a file', failed);
  await requireNothingVisible(round, repository);
  round.requireNothingAgain(upstream, 0);
  const changed = new Map(files).set(lost, random.bytes(500));
  upstream.publish(changed);
  upstream.misbehave = () => undefined;
  await round.sync(repository);
  // The manifest is another one: a new snapshot, which finds all that was saved.
  const { asked } = upstream;
  if (asked.join() !== lost) throw new Error(`Asked for again: ${asked.join(', ')}; expected only ${lost}`);
  await round.requireWhole(repository, changed, { upstream });
}

/** What was begun with one manifest is finished with it, or begun anew with another; never a mixture. */
async function changeMetadata(round: Round): Promise<void> {
  const { random, installation } = round;
  const before = round.makeFiles(random.int(600, 1000));
  const upstream = await round.addUpstream(before);
  upstream.delay = 20;
  const after = round.changeFiles(before, random.int(50, 200));
  const repository = round.named('files');

  if (random.chance(0.5)) {
    // The workflow goes on by what it has read, where upstream still has it.
    await round.sync(repository, {
      args: round.remote(upstream),
      meanwhile: async (sync) => {
        await round.downloaded(sync, upstream, { files: random.int(50, before.size / 2) });
        await round.kill('worker');
        upstream.publish(new Map([...before, ...round.makeFiles(20, { prefix: 'later' })]));
        await round.startAgain('worker');
      },
    });
    const newest = await readNewest(installation.penstock.database.pool, repository);
    const whole = newest.digests.size === before.size ? before : upstream.state;
    await round.requireWhole(repository, whole, { upstream, strikes: 1 });
  } else {
    const canceled = await round.trySync(repository, {
      args: round.remote(upstream),
      meanwhile: async (sync) => {
        await round.downloaded(sync, upstream, { files: random.int(50, before.size / 2) });
        // It may be over already.
        await installation.run('sync', 'cancel', repository);
        await sync.ended();
      },
    });
    if (canceled.status === 1) throw unexpected('a canceled sync', canceled);
  }
  upstream.publish(after);
  await round.sync(repository, { args: ['--mirror'] });
  await round.requireWhole(repository, after, { upstream, strikes: 1 });
}

/** Syncs, and again where some files could not be had within their retries: those are all that is asked for then. */
async function syncUntilWhole(
  round: Round,
  upstream: Upstream,
  files: Files,
  options: readonly string[],
  faults: readonly Fault[],
): Promise<void> {
  const repository = round.named('files');
  let args = round.remote(upstream, ...options);
  for (let attempt = 1; ; attempt += 1) {
    const ended = await round.trySync(repository, { args });
    if (ended.status === 0) break;
    if (ended.status !== 3 || attempt === 4) throw unexpected(`penstock sync ${repository}`, ended);
    await requireNothingVisible(round, repository);
    await round.requireNoProblem();
    args = [];
  }
  const spared = faults.filter(({ name }) => !upstream.faults.has(name));
  if (spared.length > 0) throw new Error(`Never met: ${spared.map(({ name }) => name).join(', ')}`);
  await round.requireWhole(repository, files, { upstream });
}

async function requireNothingVisible(round: Round, repository: string): Promise<void> {
  const { number } = await readNewest(round.installation.penstock.database.pool, repository);
  if (number !== 0) throw new Error(`A sync that has failed shows version ${number}.`);
}
