import type { FileRepository } from '../harness/file-repository';
import { eventually } from '../harness/penstock';
import type { Penstock } from '../harness/penstock';
import { catalog } from '../plugins/catalog';
import { Gate } from '../plugins/gate';
import { gatedCatalog } from '../plugins/gated-catalog';
import type { Scenario, Setting } from './scenario';

/** Syncs with contents that more is discovered from, once they are saved. */
export const catalogScenarios: readonly Scenario[] = [
  {
    name: 'awaiting-futures',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await addCatalogs(setting);
      const sync = await penstock.startSync('catalogs');
      await sync.result();
      return sync;
    },
  },
  {
    name: 'awaiting-futures-open',
    status: 'RUNNING',
    run: async (setting) => {
      const { penstock, upstream } = await addCatalogs(setting);
      upstream.misbehave.set('catalog-4.json', () => undefined);
      const sync = await penstock.startSync('catalogs');
      await eventually('all but one are there', () => upstream.served.length > 4);
      return sync;
    },
  },
  {
    name: 'continued-as-new',
    status: 'CONTINUED_AS_NEW',
    run: async (setting) => {
      const { penstock, sync, firstRunId } = await continueAsNew(setting);
      return penstock.client.workflow.getHandle(sync.workflowId, firstRunId);
    },
  },
  {
    name: 'continued-last-run',
    status: 'COMPLETED',
    run: async (setting) => (await continueAsNew(setting)).sync,
  },
];

/** A sync whose first run ends after a batch, while discovery waits for the next, and whose last completes. */
async function continueAsNew(setting: Setting) {
  const gate = new Gate();
  gate.close();
  const penstock = await setting.penstock({ plugins: [catalog, gatedCatalog(gate)] });
  const entries = ['first', 'gate', 'last'].map((name) => ({ name }));
  const upstream = await setting.upstream({ 'catalog.json': JSON.stringify(entries) });
  await penstock.addRepository('catalogs', { url: `${upstream.origin}/catalog.json` }, 'gated');
  const sync = await penstock.startSync('catalogs', { continueAsNewAfter: 1 });
  const { runId: firstRunId } = await sync.describe();
  await eventually('it continues', async () => (await sync.describe()).runId !== firstRunId);
  gate.open();
  await sync.result();
  return { penstock, sync, firstRunId };
}

/** A catalog that lists catalogs. */
async function addCatalogs(setting: Setting): Promise<{ penstock: Penstock; upstream: FileRepository }> {
  const penstock = await setting.penstock({ plugins: [catalog] });
  const names = Array.from({ length: 5 }, (_, index) => `catalog-${index}`);
  const upstream = await setting.upstream(
    Object.fromEntries(
      names.map((name, index) => [`${name}.json`, JSON.stringify([{ name: `package-${index}`, version: '1' }])]),
    ),
  );
  const entries = names.map((name) => ({
    name,
    files: [{ path: `${name}.json`, deferred: false }],
    then: 'open',
  }));
  upstream.put('catalog.json', JSON.stringify(entries));
  const remote = { url: `${upstream.origin}/catalog.json`, policy: 'on_demand', max_retries: 0 };
  await penstock.addRepository('catalogs', remote, 'catalog');
  return { penstock, upstream };
}
