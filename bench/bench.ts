import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Client } from '@temporalio/client';

import { startServices } from '../src/embedded/services';
import { openDatabase } from '../src/models/database';
import type { Database } from '../src/models/database';
import { migrate } from '../src/models/migrate';
import { plugins } from '../src/plugins';
import { connectClient, registerSearchAttributes } from '../src/temporal';
import { benchContent } from './content';
import { measureFirstRequests } from './first-requests';
import { BenchProcess } from './process';

/**
 * Times syncs from the start of the workflow to its end, with upstream, PostgreSQL, Temporal and the worker on this machine.
 * `npm run bench` runs the usual cases; `npm run bench -- NAME…` those whose names begin so; `first-requests` are of files that are
 * not stored. `npm run bench -- content` measures the content app instead.
 */
interface Case {
  readonly name: string;
  readonly files: number;
  /** Bytes of each file. */
  readonly bytes: number;
  readonly policy: 'immediate' | 'on_demand';
  /** Which of the syncs of the same content is measured: into a first repository, a second one, or the first one again. */
  readonly sync: 'cold' | 'known' | 'again';
  /** Whether the worker has only just started. Workers stay for long; theirs have synced 1,000 other files before. */
  readonly newWorker?: true;
}

const kib = 1024;
const cases: readonly Case[] = [
  { name: '1k-cold', files: 1_000, bytes: kib, policy: 'immediate', sync: 'cold' },
  { name: '10k-cold', files: 10_000, bytes: kib, policy: 'immediate', sync: 'cold' },
  { name: '10k-cold-new-worker', files: 10_000, bytes: kib, policy: 'immediate', sync: 'cold', newWorker: true },
  { name: '10k-known', files: 10_000, bytes: kib, policy: 'immediate', sync: 'known' },
  { name: '10k-again', files: 10_000, bytes: kib, policy: 'immediate', sync: 'again' },
  { name: '10k-on-demand', files: 10_000, bytes: kib, policy: 'on_demand', sync: 'cold' },
  { name: 'large-200x10MiB', files: 200, bytes: 10 * kib * kib, policy: 'immediate', sync: 'cold' },
  { name: '100k-cold', files: 100_000, bytes: kib, policy: 'immediate', sync: 'cold' },
  { name: '100k-on-demand', files: 100_000, bytes: kib, policy: 'on_demand', sync: 'cold' },
  { name: '200k-on-demand', files: 200_000, bytes: kib, policy: 'on_demand', sync: 'cold' },
];

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  if (wanted.includes('content')) {
    await benchContent();
    return;
  }
  const isWanted = (name: string) => wanted.length === 0 || wanted.some((each) => name.startsWith(each));
  const chosen = cases.filter(({ name }) => isWanted(name));
  const folder = await mkdtemp(join(tmpdir(), 'penstock-bench-'));
  const services = await startServices(
    { dataDir: folder, temporalGiven: false, ports: { postgres: 0, temporal: 0, ui: 0 } },
    { log: (line) => process.stderr.write(`${line}\n`) },
  );
  try {
    const client = await connectClient({ embeddedAddress: services.temporalAddress });
    await registerSearchAttributes(client);
    if (chosen.length > 0) {
      print(['case', 'seconds', 'units/s', 'MB/s', 'events', 'worker CPU s', 'worker peak MB']);
      print(['---', '---', '---', '---', '---', '---', '---']);
    }
    for (const each of chosen) {
      print(
        await measure(each, client, {
          folder,
          databaseUrl: services.databaseUrl,
          temporalAddress: services.temporalAddress ?? '',
        }),
      );
    }
    await client.connection.close();
    if (isWanted('first-requests')) await benchFirstRequests(services.databaseUrl, folder);
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function benchFirstRequests(serverUrl: string, folder: string): Promise<void> {
  const database = openDatabase(await createDatabase(serverUrl, 'first_requests'));
  try {
    await migrate(database.sequelize, plugins);
    const times = await measureFirstRequests(database, folder);
    process.stdout.write('\n');
    print(['first requests', 'upstream ms', 'first ms', 'second ms']);
    print(['---', '---', '---', '---']);
    print(['1 KiB', ...[times.upstream, times.first, times.second].map((time) => time.toFixed(2))]);
  } finally {
    await database.close();
  }
}

interface Place {
  readonly folder: string;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
}

/** Each case has a database, a storage and a worker of its own; what comes before the measured sync is not timed. */
async function measure(each: Case, client: Client, place: Place): Promise<string[]> {
  const databaseUrl = await createDatabase(place.databaseUrl, `bench_${each.name.replaceAll('-', '_').toLowerCase()}`);
  const database = openDatabase(databaseUrl);
  await migrate(database.sequelize, plugins);
  const upstream = await BenchProcess.start('upstream.js', [String(each.files), String(each.bytes)]);
  const taskQueue = `bench-${each.name}`;
  const worker = await BenchProcess.start('worker.js', [], {
    ...process.env,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: place.temporalAddress,
    PENSTOCK_TASK_QUEUE: taskQueue,
    PENSTOCK_DATA: join(place.folder, each.name),
  });
  try {
    await addRepository(database, 'first', upstream.line, each.policy);
    await addRepository(database, 'second', upstream.line, each.policy);
    const sync = (repository: string) => runSync(client, repository, taskQueue);
    if (!each.newWorker) await warmUp(database, each, sync);
    if (each.sync !== 'cold') await sync('first');
    const before = await worker.usage();
    const { seconds, events } = await sync(each.sync === 'known' ? 'second' : 'first');
    const after = await worker.usage();
    return [
      each.name,
      seconds.toFixed(2),
      Math.round(each.files / seconds).toString(),
      each.sync === 'cold' && each.policy === 'immediate' ? ((each.files * each.bytes) / seconds / 1e6).toFixed(0) : '',
      String(events),
      (after.cpu - before.cpu).toFixed(1),
      after.peak.toFixed(0),
    ];
  } finally {
    await worker.stop();
    await upstream.stop();
    await database.close();
  }
}

/** Other files than those that are measured: of another size. */
async function warmUp(
  database: Database,
  { bytes, policy }: Case,
  sync: (repository: string) => Promise<unknown>,
): Promise<void> {
  const upstream = await BenchProcess.start('upstream.js', ['1000', String(Math.min(bytes, kib) - 1)]);
  try {
    await addRepository(database, 'other', upstream.line, policy);
    await sync('other');
  } finally {
    await upstream.stop();
  }
}

async function runSync(
  client: Client,
  repository: string,
  taskQueue: string,
): Promise<{ seconds: number; events: number }> {
  const handle = await client.workflow.start('syncRepository', {
    workflowId: `${taskQueue}/sync/${repository}`,
    taskQueue,
    args: [{ repository, mode: 'additive', optimize: false }],
  });
  await handle.result();
  // A long sync is a chain of runs: it begins with the first, and each has a history of its own.
  const first = await client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId).describe();
  const last = await handle.describe();
  let events = last.historyLength;
  const runs = `WorkflowId = '${handle.workflowId}' and StartTime >= '${first.startTime.toISOString()}'`;
  for await (const run of client.workflow.list({ query: runs })) {
    if (run.runId !== last.runId) events += run.historyLength;
  }
  return { seconds: ((last.closeTime?.getTime() ?? NaN) - first.startTime.getTime()) / 1000, events };
}

async function addRepository(database: Database, name: string, url: string, policy: string): Promise<void> {
  await database.pool.query(
    `with remote as (
       insert into remotes (name, type, url, policy, download_concurrency) values ($1, 'file', $2, $3, 32) returning id
     ), repository as (
       insert into repositories (name, type, remote_id) select $1, 'file', id from remote returning id
     )
     insert into repository_versions (repository_id, number, complete, completed_at) select id, 0, true, now() from repository`,
    [name, url, policy],
  );
}

async function createDatabase(serverUrl: string, name: string): Promise<string> {
  const server = openDatabase(serverUrl);
  await server.pool.query(`create database ${name}`);
  await server.close();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

function print(columns: readonly string[]): void {
  process.stdout.write(`| ${columns.join(' | ')} |\n`);
}

void main();
