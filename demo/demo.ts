import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { formatBytes, formatCount, plural } from '../src/cli/amounts';
import { Output } from '../src/cli/output';
import { Interruption, aborted } from '../src/cli/signals';
import { asError } from '../src/errors';
import { Penstock } from './penstock';
import type { Screen } from './penstock';
import { Upstream } from './upstream';

const output = new Output();

/** Takes a newcomer through two syncs of a small repository, by the commands that they would type themselves. */
async function main(): Promise<void> {
  const keep = process.argv.includes('--keep');
  const interruption = new Interruption();
  const { signal } = interruption;
  const folder = await mkdtemp(join(tmpdir(), 'penstock-demo-'));
  // Where root starts it, PostgreSQL runs as another user, which passes through this folder.
  await chmod(folder, 0o711);
  const { PENSTOCK_DATA: given } = process.env;
  const dataDir = given ? resolve(given) : join(folder, 'data');
  let upstream: Upstream | undefined;
  let penstock: Penstock | undefined;
  try {
    say(
      output.paint('bold', 'Penstock, by example'),
      `What you type yourself begins with "npx penstock", in this folder. The demo's data lies in ${dataDir}.`,
    );
    upstream = await Upstream.start(join(folder, 'upstream'));
    penstock = await Penstock.prepare(dataDir, screen, signal);
    interruption.onSecond(() => penstock?.kill());
    await showSyncs(upstream, penstock);
    await showWebUi(penstock);
    if (keep) {
      say('', 'All of it keeps running until Ctrl-C. In another terminal, in this folder:');
      screen.command(`export PENSTOCK_DATA=${dataDir}`);
      screen.command('npx penstock content list demo --limit 5');
      await Promise.race([aborted(signal), penstock.failed]);
    }
  } catch (error) {
    process.exitCode = signal.aborted ? 130 : 1;
    if (!signal.aborted) output.warn(asError(error).message);
  } finally {
    say('', output.paint('dim', `Stopping${given ? '' : ', and removing what the demo has made'} …`));
    await penstock?.down();
    await upstream?.stop();
    await rm(folder, { recursive: true, force: true });
    interruption.close();
  }
  if (process.exitCode === undefined) say('Done.');
}

async function showSyncs(upstream: Upstream, penstock: Penstock): Promise<void> {
  title('An upstream: a folder of files with a PULP_MANIFEST, served over HTTP');
  say(`${plural(upstream.files, 'file')}, ${formatBytes(upstream.bytes)}, at ${upstream.url}`);

  title('PostgreSQL, Temporal and a worker, all on this machine');
  await penstock.up();

  title('The first sync');
  await penstock.run('sync', 'demo', '--url', upstream.url);

  const { added, changed, removed } = await upstream.change();
  title(
    `Upstream moves on: ${formatCount(added)} files added, ${formatCount(changed)} changed, ${formatCount(removed)} removed`,
  );
  say('Only what is new is downloaded; --mirror removes what upstream no longer has.');
  await penstock.run('sync', 'demo', '--mirror');

  title('Both versions');
  await penstock.run('version', 'list', 'demo');
}

async function showWebUi(penstock: Penstock): Promise<void> {
  title('Every sync is a workflow, which Temporal shows stage by stage');
  const { webUi } = await penstock.ask('sync', 'show', 'demo');
  if (typeof webUi !== 'string') return;
  say(`Web UI     ${new URL(webUi).origin}`, `This sync  ${webUi}`);
  if (process.argv.includes('--keep')) return;
  say('', `They end with the demo. To look at them:  ${output.paint('bold', 'npm run demo -- --keep')}`);
}

let step = 0;

function title(text: string): void {
  step += 1;
  say('', output.paint('bold', `${step}. ${text}`));
}

function say(...lines: string[]): void {
  for (const line of lines) output.done(line);
}

const screen: Screen = {
  command: (line) => {
    say(output.paint('blue', `$ ${line}`));
  },
  output: (line) => {
    say(output.paint('dim', `  ${line}`));
  },
};

void main();
