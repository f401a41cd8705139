import { setTimeout as sleep } from 'node:timers/promises';

import type { Pool } from 'pg';
import { Pool as Connections } from 'pg';

import { startSync } from '../../../../src/syncs/start-sync';
import { handleOf } from '../../../../src/syncs/sync-workflow';
import { concurrency } from '../round';
import type { Round } from '../round';
import type { Files } from '../upstream';
import { readNewest, requireSame } from '../versions';
import type { NewestVersion } from '../versions';
import type { Scenario } from './scenario';

const syncs = 50;

/** Clients that read the newest version in a loop never see half of one. */
export const readers: readonly Scenario[] = [{ name: 'readers-during-50-syncs', workers: 2, run: readWhileSyncing }];

type Read = (pool: Pool, repository: string) => Promise<NewestVersion>;

async function readWhileSyncing(round: Round): Promise<void> {
  const { random, installation } = round;
  const { penstock } = installation;
  const repository = round.named('files');
  let files: Files = round.makeFiles(150, { large: 0 });
  const upstream = await round.addUpstream(files);
  await penstock.addRepository(repository, { url: upstream.url, download_concurrency: concurrency });
  const states: Files[] = [new Map()];

  const connections = new Connections({ connectionString: penstock.testDatabase.url });
  connections.on('error', () => undefined);
  const over = new AbortController();
  const reading = ([readNewest, readNewest, readInTwo] as readonly Read[]).map((read) =>
    readOn(read, connections, { repository, states, over: over.signal }),
  );
  // Whatever one of them has seen is told below; the syncs go on until then.
  for (const each of reading) each.catch(() => undefined);
  try {
    const starter = { client: penstock.client, taskQueue: penstock.settings.taskQueue };
    const kill = random.int(5, syncs - 5);
    for (let sync = 1; sync <= syncs; sync += 1) {
      states.push(files);
      const execution = await startSync(starter, { repository, mode: 'mirror', optimize: true });
      if (sync === kill) await round.strike('worker');
      await handleOf(penstock.client, execution).result();
      round.tally.syncs += 1;
      if (sync === syncs) break;
      files = round.changeFiles(files, random.int(1, 40), { large: 0 });
      upstream.publish(files);
    }
  } finally {
    over.abort();
    await Promise.allSettled(reading);
    await connections.end();
  }
  const seen = (await Promise.all(reading)).map(({ versions }) => versions);
  if (seen.some((versions) => versions < syncs / 2)) throw new Error(`Readers have seen ${seen.join(', ')} versions.`);
  await round.requireWhole(repository, files, { upstream, strikes: 1 });
}

/** Reads until it is told to stop: each version that it sees is one state of upstream, and never an older one than before. */
async function readOn(
  read: Read,
  connections: Pool,
  { repository, states, over }: { repository: string; states: readonly Files[]; over: AbortSignal },
): Promise<{ versions: number }> {
  const seen = new Set<number>();
  let newest = 0;
  while (!over.aborted) {
    const version = await read(connections, repository);
    if (version.number < newest) throw new Error(`Version ${version.number} was seen after version ${newest}.`);
    newest = version.number;
    seen.add(newest);
    const files = states[newest];
    if (!files) throw new Error(`Version ${newest} was seen before its sync had begun.`);
    await requireSame(version, files, undefined);
    if (version.stored.size !== files.size) throw new Error(`Version ${newest} holds files that are not stored.`);
    await sleep(20);
  }
  return { versions: seen.size };
}

/** As a server reads that keeps the number of the version: first that, then what it holds. */
async function readInTwo(pool: Pool, repository: string): Promise<NewestVersion> {
  const newest = await pool.query<{ id: string; number: number }>(
    `select repository.id, max(version.number) as number
       from repositories repository join repository_versions version on version.repository_id = repository.id
      where repository.name = $1 and version.complete group by repository.id`,
    [repository],
  );
  const { id, number = -1 } = newest.rows[0] ?? {};
  await sleep(5);
  const { rows } = await pool.query<{ path: string; sha256: string | null }>(
    `select attached.relative_path as path, artifact.sha256
       from repository_contents held
       join content_artifacts attached on attached.content_id = held.content_id
       left join artifacts artifact on artifact.id = attached.artifact_id
      where held.repository_id = $1 and held.version_added <= $2
        and (held.version_removed is null or held.version_removed > $2)`,
    [id, number],
  );
  const stored = rows.flatMap(({ path, sha256: digest }) => (digest === null ? [] : [[path, digest] as const]));
  return { number, digests: new Map(stored), stored: new Set(stored.map(([path]) => path)) };
}
