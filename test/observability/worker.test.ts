import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { parse } from 'yaml';

import { failSync } from '../harness/failed-sync';
import { FileRepository } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { Collector } from './collector';
import { readSamples, valueOf } from './exposition';
import type { Sample } from './exposition';
import { namesIn } from './promql';
import { WatchedWorker } from './watched-worker';

const monitoring = join(__dirname, '..', '..', 'docs', 'monitoring');

let penstock: Penstock;
let upstream: FileRepository;
let collector: Collector;
let worker: WatchedWorker;
let samples: Sample[];
let host: string;

/** One sync with a retry, then one with a file that is gone. */
beforeAll(async () => {
  penstock = await Penstock.start({ worker: false });
  upstream = await FileRepository.start({ 'a.txt': 'one', 'b.txt': 'three' });
  host = new URL(upstream.url).host;
  collector = await Collector.start();
  worker = await WatchedWorker.start(penstock, {
    PENSTOCK_LOG_LEVEL: 'debug',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  });
  upstream.misbehave.set('a.txt', (_, response) => {
    upstream.misbehave.delete('a.txt');
    response.writeHead(503).end();
  });
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  upstream.put('gone.txt', 'gone');
  upstream.misbehave.set('gone.txt', (_, response) => response.writeHead(404).end());
  await failSync(penstock, 'files');
  samples = readSamples((await worker.get('/metrics')).body);
});

afterAll(async () => {
  await worker.stop();
  await collector.stop();
  await upstream.stop();
  await penstock.stop();
});

describe('/metrics', () => {
  it('counts units, downloads, bytes, retries and failures by host and cause', () => {
    const manifests =
      `${upstream.lineOf('a.txt')}\n${upstream.lineOf('b.txt')}\n`.length * 2 +
      `${upstream.lineOf('gone.txt')}\n`.length;
    const cause = 'UnexpectedStatus';
    expect(valueOf(samples, 'penstock_units_discovered_total')).toBe(5);
    expect(valueOf(samples, 'penstock_contents_saved_total')).toBe(2);
    // Two manifests, the check whether the first had changed, and two files.
    expect(valueOf(samples, 'penstock_downloads_total', { host })).toBeGreaterThanOrEqual(4);
    expect(valueOf(samples, 'penstock_download_bytes_total', { host })).toBeGreaterThanOrEqual(
      'onethree'.length + manifests,
    );
    expect(valueOf(samples, 'penstock_download_retries_total', { host, cause, status: '503' })).toBe(1);
    expect(valueOf(samples, 'penstock_download_failures_total', { host, cause, status: '404' })).toBe(1);
  });

  it('counts how stages ended, and how long they took', () => {
    const ended = (stage: string, outcome: string) =>
      valueOf(samples, 'penstock_stage_attempts_total', { stage, outcome });
    expect(ended('downloadArtifacts', 'completed')).toBe(2);
    expect(ended('completeVersion', 'completed')).toBe(1);
    expect(ended('completeVersion', 'failed')).toBe(1);
    expect(valueOf(samples, 'penstock_stage_duration_seconds_count', { stage: 'downloadArtifacts' })).toBe(2);
    expect(valueOf(samples, 'penstock_stages_running', { stage: 'downloadArtifacts' })).toBe(0);
  });

  it('says how the newest sync of each repository is, and when one last succeeded', async () => {
    const [row] = await penstock.sql<{ at: number }>(
      `select extract(epoch from finished_at)::float8 as at from syncs where state = 'completed'`,
    );
    expect(valueOf(samples, 'penstock_syncs', { state: 'failed' })).toBe(1);
    expect(valueOf(samples, 'penstock_syncs', { state: 'running' })).toBe(0);
    expect(valueOf(samples, 'penstock_repository_sync_state', { repository: 'files', state: 'failed' })).toBe(1);
    expect(valueOf(samples, 'penstock_repository_last_success_timestamp_seconds', { repository: 'files' })).toBe(
      row?.at,
    );
    expect(valueOf(samples, 'penstock_drained')).toBe(0);
    expect(valueOf(samples, 'penstock_storage_free_bytes')).toBeGreaterThan(0);
  });

  it("shows what Temporal's SDK counts as well", () => {
    const labels = { worker_type: 'ActivityWorker' };
    expect(valueOf(samples, 'temporal_worker_task_slots_available', labels)).toBe(100);
  });

  it('answers with 404 and 405 to what it is not made for', async () => {
    expect(await worker.get('/metrics/../secret')).toMatchObject({ status: 404 });
    expect(await fetch(`${worker.url}/metrics`, { method: 'POST' })).toMatchObject({ status: 405 });
  });
});

describe.each(['alert-rules.yml', 'grafana-dashboard.json'])('docs/monitoring/%s', (file) => {
  const expressions = expressionsIn(parse(readFileSync(join(monitoring, file), 'utf8')));

  it('names only metrics and labels that such a worker shows', () => {
    expect(expressions.length).toBeGreaterThan(10);
    // Prometheus itself makes `up`, and the labels of where it scrapes.
    const shown = new Set(['up', ...samples.map(({ name }) => name)]);
    const labels = new Set(['job', 'instance', ...samples.flatMap((sample) => Object.keys(sample.labels))]);
    for (const expression of expressions) {
      const named = namesIn(expression);
      expect([expression, named.metrics.length > 0]).toEqual([expression, true]);
      expect([expression, named.metrics.filter((name) => !shown.has(name))]).toEqual([expression, []]);
      expect([expression, named.labels.filter((label) => !labels.has(label))]).toEqual([expression, []]);
    }
  });
});

describe('the log', () => {
  it('carries workflow, run, repository, sync, stage and batch in every line of an activity', async () => {
    await eventually('the last line', () => worker.log.some(({ stage }) => stage === 'closeSync'));
    const waits = worker.log.filter(({ msg }) => msg === 'the server answered 503');
    expect(waits).toEqual([
      expect.objectContaining({
        workflowId: penstock.workflowId('files'),
        runId: expect.stringMatching(/^[\da-f-]{36}$/) as unknown,
        repository: 'files',
        sync: expect.stringMatching(/^\d+$/) as unknown,
        stage: 'downloadArtifacts',
        batch: 1,
        url: `${upstream.origin}/a.txt`,
      }),
    ]);
    // The SDK says that an activity has started before anybody can look what it works on.
    const ofActivities = worker.log.filter(({ stage, msg }) => stage !== undefined && msg !== 'Activity started');
    expect(ofActivities.length).toBeGreaterThan(10);
    for (const line of ofActivities) {
      expect(line).toMatchObject({ workflowId: penstock.workflowId('files'), repository: 'files' });
      expect(line).not.toHaveProperty('taskToken');
    }
  });

  it('says what an error was', () => {
    const failed = worker.log.filter(({ msg, stage }) => msg === 'Activity failed' && stage === 'completeVersion');
    expect(failed).toMatchObject([{ error: { message: expect.stringContaining('gone.txt') as unknown } }]);
  });
});

describe('the probes', () => {
  it('say that all is well', async () => {
    expect(await worker.get('/livez')).toEqual({ status: 200, body: '{"worker":"running"}\n' });
    const { status, body } = await worker.get('/readyz');
    const checks = { worker: 'ok', postgresql: 'ok', schema: 'ok', temporal: 'ok' };
    expect([status, JSON.parse(body)]).toEqual([200, { ready: true, checks }]);
  });

  it('say which migrations are missing, and that PostgreSQL is away, until it is back', async () => {
    await penstock.sql(`update schema_migrations set name = name || '-renamed' where name = '0002-syncs'`);
    expect(await worker.get('/readyz')).toMatchObject({
      status: 503,
      body: expect.stringContaining('"schema":"missing migrations: 1"') as unknown,
    });
    await penstock.sql(`update schema_migrations set name = '0002-syncs' where name = '0002-syncs-renamed'`);

    const name = new URL(penstock.testDatabase.url).pathname.slice(1);
    await onServer(`alter database "${name}" allow_connections false`);
    try {
      await penstock.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'penstock probes'`,
        [name],
      );
      const { status, body } = await worker.get('/readyz');
      expect(status).toBe(503);
      // A connection that was ended is noticed at its next use, or is replaced, which the database refuses.
      const postgresql = expect.stringMatching(/^failed \((55000|57P01)\)$/) as unknown;
      expect(JSON.parse(body)).toMatchObject({ ready: false, checks: { worker: 'ok', postgresql, temporal: 'ok' } });
      const away = readSamples((await worker.get('/metrics')).body);
      expect(valueOf(away, 'penstock_ready', { check: 'postgresql' })).toBe(0);
      expect(valueOf(away, 'penstock_drained')).toBeUndefined();
      expect(valueOf(away, 'penstock_syncs', { state: 'failed' })).toBeUndefined();
      expect((await worker.get('/livez')).status).toBe(200);
    } finally {
      await onServer(`alter database "${name}" allow_connections true`);
    }
    expect((await worker.get('/readyz')).status).toBe(200);
  });
});

describe('the traces', () => {
  it('are one for each run of a workflow, with a span of every activity', async () => {
    const runs = new Set(worker.log.flatMap(({ stage, runId }) => (stage === undefined ? [] : [String(runId)])));
    await worker.stop();
    expect(collector.services).toEqual(new Set(['penstock']));
    expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(
      new Set([...runs].map((run) => run.replaceAll('-', ''))),
    );
    const downloads = collector.spans.filter(({ name }) => name === 'RunActivity:downloadArtifacts');
    expect(downloads).toHaveLength(2);
    expect(downloads[0]?.attributes).toMatchObject({
      temporalWorkflowID: penstock.workflowId('files'),
      stage: 'downloadArtifacts',
      repository: 'files',
    });
    const failed = collector.spans.filter(({ status }) => status.code === 2);
    expect(failed.map(({ name }) => name)).toEqual(['RunActivity:completeVersion']);
  });
});

/** Runs a statement outside of the database of the test. */
async function onServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: process.env.PENSTOCK_TEST_DATABASE_URL });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Every value of a key `expr`, wherever it is. */
function expressionsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'expr' && typeof inner === 'string' ? [inner] : expressionsIn(inner),
  );
}
