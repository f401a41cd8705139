import { afterEach, describe, expect, it } from '@jest/globals';

import type { Step } from '../../src/plugins/plugin';
import { FileRepository } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { catalogVariant } from '../plugins/catalog';

describe('a defect of a plugin ends its sync', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  afterEach(async () => {
    await penstock.stop();
    await upstream.stop();
  });

  async function syncWith(start: Step): Promise<unknown> {
    upstream = await FileRepository.start();
    penstock = await Penstock.start({ plugins: [catalogVariant('defective', { start })] });
    await penstock.addRepository('defective', { url: upstream.url }, 'defective');
    return penstock.sync('defective').catch((error: unknown) => error);
  }

  it('where it makes a url of what is none', async () => {
    const start: Step = async function* ({ remote, metadata }) {
      const { url } = await metadata(remote.url);
      throw new Error(`not reached: ${new URL('//[', url).href}`);
    };
    expect(await syncWith(start)).toMatchObject({ type: 'ProgrammingError', transient: false });
  });

  it('where a sync is to go on from a step that it no longer has', async () => {
    const start: Step = async function* ({ remote, metadata }) {
      yield* [];
      await metadata(remote.url);
      await penstock.sql(`update sync_discoveries set step = 'renamed'`);
      throw new Error('out of luck');
    };
    const failure = await syncWith(start);
    expect(failure).toMatchObject({ type: 'PipelineIncomplete' });
    expect((failure as Error).message).toContain('Plugin "defective" has no step "renamed"');
  });
});
