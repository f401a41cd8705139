import { FileRepository, numberedFiles } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { clean, repair } from '../maintenance/maintenance';
import { catalog } from '../plugins/catalog';

/** A workflow whose history is recorded, by the state that it shows. */
export interface Scenario {
  readonly name: string;
  /** Runs it; the last run of this workflow is recorded, and of one that continues as new the first. */
  readonly run: () => Promise<{
    readonly penstock: Penstock;
    /** Whose sync is recorded; absent: a workflow with this id. */
    readonly repository?: string;
    readonly workflowId?: string;
    readonly runId?: string;
  }>;
}

async function withUpstream<T>(files: number, work: (upstream: FileRepository) => Promise<T>): Promise<T> {
  const upstream = await FileRepository.start(numberedFiles(files));
  try {
    return await work(upstream);
  } finally {
    await upstream.stop();
  }
}

/** Every state of a sync that a worker may find when it is deployed. */
export const scenarios: readonly Scenario[] = [
  {
    name: 'plain',
    run: () =>
      withUpstream(2500, async (upstream) => {
        const penstock = await Penstock.start();
        await penstock.addRepository('plain', { url: upstream.url });
        await penstock.sync('plain');
        return { penstock, repository: 'plain' };
      }),
  },
  {
    name: 'skipped',
    run: () =>
      withUpstream(10, async (upstream) => {
        const penstock = await Penstock.start();
        await penstock.addRepository('skipped', { url: upstream.url });
        await penstock.sync('skipped');
        await penstock.sync('skipped');
        return { penstock, repository: 'skipped' };
      }),
  },
  {
    name: 'mirror',
    run: () =>
      withUpstream(1500, async (upstream) => {
        const penstock = await Penstock.start();
        await penstock.addRepository('mirror', { url: upstream.url });
        await penstock.sync('mirror', { mode: 'mirror' });
        upstream.remove('file-00000.txt');
        upstream.put('another.txt', 'another');
        await penstock.sync('mirror', { mode: 'mirror' });
        return { penstock, repository: 'mirror' };
      }),
  },
  {
    name: 'on-demand',
    run: () =>
      withUpstream(1500, async (upstream) => {
        const penstock = await Penstock.start();
        await penstock.addRepository('on-demand', { url: upstream.url, policy: 'on_demand' });
        await penstock.sync('on-demand');
        return { penstock, repository: 'on-demand' };
      }),
  },
  {
    name: 'failed',
    run: () => withUpstream(1500, (upstream) => failOnce(upstream, 'failed')),
  },
  {
    name: 'resumed',
    run: () =>
      withUpstream(1500, async (upstream) => {
        const { penstock } = await failOnce(upstream, 'resumed');
        upstream.misbehave.clear();
        await penstock.sync('resumed');
        return { penstock, repository: 'resumed' };
      }),
  },
  {
    name: 'bad-metadata',
    run: () =>
      withUpstream(0, async (upstream) => {
        upstream.putManifest('this is no manifest\n');
        const penstock = await Penstock.start();
        await penstock.addRepository('bad-metadata', { url: upstream.url });
        await penstock.sync('bad-metadata').catch(() => undefined);
        return { penstock, repository: 'bad-metadata' };
      }),
  },
  {
    name: 'canceled-in-download',
    run: () =>
      withUpstream(1200, async (upstream) => {
        upstream.delay = 100;
        const penstock = await Penstock.start();
        await penstock.addRepository('canceled', { url: upstream.url });
        const handle = await penstock.startSync('canceled');
        await eventually('the first downloads', () => upstream.downloads.length > 20);
        await handle.cancel();
        await handle.result().catch(() => undefined);
        return { penstock, repository: 'canceled' };
      }),
  },
  {
    name: 'awaiting-futures',
    run: async () => {
      const { penstock, upstream } = await startCatalog();
      try {
        await penstock.sync('catalog');
        return { penstock, repository: 'catalog' };
      } finally {
        await upstream.stop();
      }
    },
  },
  {
    name: 'continued-as-new',
    run: () =>
      withUpstream(6000, async (upstream) => {
        const penstock = await Penstock.start();
        await penstock.addRepository('continued', { url: upstream.url, policy: 'on_demand' });
        const handle = await penstock.startSync('continued', { continueAsNewAfter: 1 });
        const { runId } = await handle.describe();
        await handle.result();
        return { penstock, repository: 'continued', runId };
      }),
  },
  {
    name: 'continued-last-run',
    run: () =>
      withUpstream(6000, async (upstream) => {
        const penstock = await Penstock.start();
        await penstock.addRepository('continued', { url: upstream.url, policy: 'on_demand' });
        await penstock.sync('continued', { continueAsNewAfter: 1 });
        return { penstock, repository: 'continued' };
      }),
  },
  {
    name: 'repairing',
    run: () =>
      withUpstream(10, async (upstream) => {
        const penstock = await Penstock.start();
        await penstock.addRepository('repairing', { url: upstream.url });
        await penstock.sync('repairing');
        await repair(penstock);
        return { penstock, workflowId: `repair/${penstock.settings.taskQueue}` };
      }),
  },
  {
    name: 'cleaning',
    run: async () => {
      const penstock = await Penstock.start();
      await clean(penstock);
      return { penstock, workflowId: `clean/${penstock.settings.taskQueue}` };
    },
  },
];

async function failOnce(
  upstream: FileRepository,
  repository: string,
): Promise<{ penstock: Penstock; repository: string }> {
  for (const path of ['file-00001.txt', 'file-00700.txt', 'file-01400.txt']) {
    upstream.misbehave.set(path, (_, response) => response.writeHead(404).end());
  }
  const penstock = await Penstock.start();
  await penstock.addRepository(repository, { url: upstream.url });
  await penstock.sync(repository).catch(() => undefined);
  return { penstock, repository };
}

/** A catalog that lists catalogs: contents that more is discovered from, once they are saved. */
async function startCatalog(): Promise<{ penstock: Penstock; upstream: FileRepository }> {
  const inner = (index: number) => JSON.stringify([{ name: `package-${index}`, version: '1', files: [] }]);
  const upstream = await FileRepository.start(
    Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`catalog-${index}.json`, inner(index)])),
  );
  const entries = Array.from({ length: 5 }, (_, index) => ({
    name: `catalog-${index}`,
    files: [{ path: `catalog-${index}.json`, deferred: false }],
    then: 'open',
  }));
  upstream.put('catalog.json', JSON.stringify(entries));
  const penstock = await Penstock.start({ plugins: [catalog] });
  await penstock.addRepository('catalog', { url: `${upstream.origin}/catalog.json`, policy: 'on_demand' }, 'catalog');
  return { penstock, upstream };
}
