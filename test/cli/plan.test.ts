import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { FileRepository } from '../harness/file-repository';
import { PenstockCommand } from './penstock-command';

describe('penstock plan', () => {
  let penstock: PenstockCommand;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await PenstockCommand.withGivenServices();
    await penstock.json('migrate');
    upstream = await FileRepository.start({ 'a.txt': 'one', 'b.txt': 'three' });
    await penstock.json('remote', 'create', 'files', '--type', 'file', '--url', upstream.url, '--max-retries', '0');
    await penstock.json('repository', 'create', 'files', '--type', 'file', '--remote', 'files');
  });
  afterAll(async () => {
    await upstream.stop();
    await penstock.remove();
  });

  it('says what would come and where from, without Temporal', async () => {
    const env = { TEMPORAL_ADDRESS: '127.0.0.1:9' };
    const { status, stdout, stderr } = await penstock.run(['plan', 'files', '--list', '1'], { env });
    expect(stderr).toBe('');
    expect(stdout.split('\n').map((line) => line.replace(/ {2,}/g, ' | '))).toEqual([
      'A sync of "files" would add 2 and remove 0: 2 contents after version 0.',
      '',
      'TYPE | NEW | KNOWN | REPLACED | REMOVED | KEPT',
      'file.file | 2 | 0 | 0 | 0 | 0',
      '',
      'DOWNLOADS FROM | FILES | BYTES | SIZE NOT KNOWN',
      `${new URL(upstream.url).host} | 2 | 8 B | 0`,
      'In all 2 files, 8 B.',
      '',
      expect.stringMatching(/^\+\tfile\.file\ta\.txt /),
      'and 1 more',
      '',
    ]);
    expect(status).toBe(0);
    expect(await penstock.json('plan', 'files')).toMatchObject({
      course: 'begin',
      added: 2,
      downloads: { files: 2, bytes: 8 },
      changes: [],
    });
  });

  it('ends as a sync would where that could not begin', async () => {
    const missing = await penstock.run(['plan', 'nothing']);
    expect(missing.stderr).toContain('There is no repository "nothing".');
    expect(missing.status).toBe(1);
    upstream.misbehave.set('PULP_MANIFEST', (_, response) => response.writeHead(503).end());
    const down = await penstock.run(['plan', 'files']);
    upstream.misbehave.clear();
    expect(down.stderr).toContain('503');
    expect(down.status).toBe(3);
  });

  it('lets go when it is interrupted while upstream is silent', async () => {
    upstream.misbehave.set('PULP_MANIFEST', () => undefined);
    const asked = upstream.requests.length;
    const plan = penstock.start(['plan', 'files']);
    while (upstream.requests.length === asked) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await plan.signal('SIGINT')).toMatchObject({ status: 3, stdout: '' });
    upstream.misbehave.clear();
  });
});
