import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';

import { hasCurrentVersion, setCurrentCommand } from '../../src/deployment';
import type { VersioningSettings } from '../../src/settings';
import { FileRepository } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';

jest.setTimeout(90_000);

const behaviors = ['pinned', 'auto-upgrade'] as const;

describe.each(behaviors)('worker deployment versioning, %s', (behavior) => {
  const deploymentName = `penstock-${randomBytes(4).toString('hex')}`;
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start({ worker: false });
    upstream = await FileRepository.start({ 'a.txt': 'a' });
  });
  afterAll(async () => {
    await penstock.stop();
    await upstream.stop();
  });

  async function startVersion(buildId?: string): Promise<string> {
    const versioning: VersioningSettings = { behavior, deploymentName, ...(buildId === undefined ? {} : { buildId }) };
    const { version } = await penstock.startWorker({ settings: { ...penstock.settings, versioning } });
    if (!version) throw new Error('the worker has no version');
    return version.buildId;
  }

  /** By the command that is printed for people; a version is known once its workers have polled. */
  async function makeCurrent(buildId: string): Promise<void> {
    const [, ...args] = setCurrentCommand({ deploymentName, buildId }).split(' ');
    const cli = process.env.PENSTOCK_TEST_TEMPORAL_CLI ?? 'temporal';
    const run = () => promisify(execFile)(cli, [...args, '--yes', '--address', penstock.temporalAddress]);
    await eventually(`version ${buildId} is known`, () =>
      run().then(
        () => true,
        () => false,
      ),
    );
  }

  /** The build ids of the workers that ran a sync's workflow, in their order. */
  async function ranOn(sync: WorkflowHandle): Promise<string[]> {
    const { events } = await sync.fetchHistory();
    const ids = (events ?? []).flatMap(
      (event) => event.workflowTaskCompletedEventAttributes?.deploymentVersion?.buildId ?? [],
    );
    return [...new Set(ids)];
  }

  it(`lets a sync ${behavior === 'pinned' ? 'stay with' : 'move from'} the version that it began on, and sends new ones to the current`, async () => {
    const digest = await startVersion();
    expect(digest).toMatch(/^[0-9a-f]{12}$/);
    expect(await hasCurrentVersion(penstock.client, deploymentName)).toBe(false);
    await makeCurrent(digest);
    expect(await hasCurrentVersion(penstock.client, deploymentName)).toBe(true);

    let answer: (() => void) | undefined;
    upstream.misbehave.set('a.txt', (_, response) => {
      answer = () => response.end('a');
    });
    await penstock.addRepository('old', { url: upstream.url });
    const old = await penstock.startSync('old');
    await eventually('the sync downloads', () => answer !== undefined);
    await startVersion('next');
    await makeCurrent('next');
    await penstock.addRepository('new', { url: upstream.url, policy: 'on_demand' });
    const fresh = await penstock.startSync('new');
    await expect(penstock.resultOf(fresh)).resolves.toMatchObject({ added: 1 });
    expect(await ranOn(fresh)).toEqual(['next']);

    answer?.();
    await expect(penstock.resultOf(old)).resolves.toMatchObject({ added: 1, downloaded: 1 });
    expect(await ranOn(old)).toEqual(behavior === 'pinned' ? [digest] : [digest, 'next']);
  });
});
