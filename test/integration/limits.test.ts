import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { WorkerProcess } from '../harness/worker-process';

jest.setTimeout(60_000);

describe('the limits of a remote', () => {
  let penstock: Penstock;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await penstock.stop();
  });

  it('hold for a whole sync: for several batches at once, and two workers', async () => {
    const upstream = await FileRepository.start(numberedFiles(2100, 'many'));
    upstream.delay = 3;
    const second = await WorkerProcess.start(penstock);
    try {
      await penstock.addRepository('many', { url: upstream.url, download_concurrency: 7 });
      await expect(penstock.sync('many')).resolves.toMatchObject({ added: 2100 });
      expect(upstream.mostOpen).toBeLessThanOrEqual(7);
      expect(upstream.mostOpen).toBeGreaterThan(4);
    } finally {
      await second.stop();
      await upstream.stop();
    }
  });

  it('are not those of another remote that has the same files, and waits', async () => {
    const files = numberedFiles(60, 'shared');
    const [slow, fast] = [await FileRepository.start(files), await FileRepository.start(files)];
    await penstock.addRepository('slow', { url: slow.url, rate_limit: 10 });
    await penstock.addRepository('fast', { url: fast.url });
    const began = performance.now();
    const limited = await penstock.startSync('slow');
    await expect(penstock.sync('fast')).resolves.toMatchObject({ added: 60 });
    expect((await limited.describe()).status.name).toBe('RUNNING');
    await expect(penstock.resultOf(limited)).resolves.toMatchObject({ added: 60 });
    // What the other one has stored meanwhile is not fetched again; what is fetched keeps to the limit.
    const seconds = (performance.now() - began) / 1000;
    expect(slow.requests.length).toBeLessThanOrEqual(10 * seconds + 2);
    await slow.stop();
    await fast.stop();
  });

  it('let a limited sync take its time', async () => {
    const upstream = await FileRepository.start(numberedFiles(40, 'limited'));
    await penstock.addRepository('limited', { url: upstream.url, rate_limit: 20 });
    const began = performance.now();
    await penstock.sync('limited');
    // 40 files and a manifest at 20 a second, less what may go out at once after a pause.
    expect(performance.now() - began).toBeGreaterThan(1700);
    await upstream.stop();
  });
});
