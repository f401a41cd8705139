import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Connection, WorkflowClient } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { PenstockCommand } from './penstock-command';

const name = `replayed-${Date.now()}`;
let penstock: PenstockCommand;
let recorded: string;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  const upstream = await FileRepository.start(numberedFiles(3));
  await penstock.json('migrate');
  const worker = penstock.start(['worker']);
  await worker.printed('polls task queue');
  await penstock.run(['sync', name, '--url', upstream.url]);
  await worker.stop();
  await upstream.stop();

  const connection = await Connection.connect({ address: penstock.env.TEMPORAL_ADDRESS ?? '' });
  recorded = historyToJSON(await new WorkflowClient({ connection }).getHandle(`sync/${name}`).fetchHistory());
  await connection.close();
});

afterAll(async () => {
  await penstock.remove();
});

it('finds a live history deterministic', async () => {
  const { status, stdout } = await penstock.run(['replay', '--workflow', name]);
  expect(stdout).toMatch(new RegExp(`^sync/${name} [0-9a-f-]+: deterministic\n$`));
  expect(status).toBe(0);
});

it('tells recorded histories that still fit from one that does not, with event and reason', async () => {
  await writeFile(join(penstock.folder, 'fits.json'), recorded);
  await writeFile(
    join(penstock.folder, 'differs.json'),
    recorded.replaceAll('"discoverContents"', '"discoverEverything"'),
  );
  const { status, stdout } = await penstock.run(['replay', 'fits.json', 'differs.json', '--json']);
  expect(JSON.parse(stdout)).toMatchObject({
    broken: 1,
    replayed: [
      { name: 'fits.json', deterministic: true, event: null, reason: null },
      { name: 'differs.json', deterministic: false, reason: expect.stringContaining('discoverEverything') },
    ],
  });
  expect((JSON.parse(stdout) as { replayed: { event: number }[] }).replayed[1]?.event).toBeGreaterThan(4);
  expect(status).toBe(1);
});

it('wants histories, and ones that can be read', async () => {
  expect((await penstock.run(['replay'])).status).toBe(2);
  await writeFile(join(penstock.folder, 'no-history.json'), '{"events": []}');
  const { status, stderr } = await penstock.run(['replay', 'no-history.json']);
  expect(stderr).toContain('no-history.json is not a history');
  expect(status).toBe(2);
  expect((await penstock.run(['replay', '--workflow', 'unknown'])).status).toBe(1);
});
