import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import type { Plugin } from '../../src/plugins/plugin';
import { variablesOfPenstock, variablesOfTemporal } from '../compose/known-variables';
import { FileRepository, sha256 } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { Markdown, root } from './markdown';
import { typeErrors } from './type-check';

const readme = new Markdown('README.md');
const plugins = new Markdown('docs/plugins.md');
const monitoring = new Markdown('docs/monitoring.md');
const operations = new Markdown('docs/operations.md');
const upgrades = new Markdown('docs/upgrades.md');
const run = promisify(execFile);

describe('the plugin of the README', () => {
  const [example = ''] = readme.blocks('ts');
  let folder: string;
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-readme-'));
    const plugin = (await load(folder, 'src/plugins/sums/index.ts', example)).sums as Plugin;
    penstock = await Penstock.start({ plugins: [plugin] });
    upstream = await FileRepository.start({ 'penstock-1.0.tar': 'one', 'docs/read me.txt': 'two' });
  });
  afterAll(async () => {
    await upstream.stop();
    await penstock.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('says where it belongs, and has no type errors there', () => {
    expect(example.startsWith('// src/plugins/sums/index.ts\n')).toBe(true);
    expect(typeErrors('src/plugins/sums/index.ts', example)).toEqual([]);
  });

  it('syncs a list, and what has changed in it', async () => {
    upstream.put('SHA256SUMS', `${sha256('one')}  penstock-1.0.tar\n${sha256('two')} *docs/read me.txt\n`);
    await penstock.addRepository('releases', { url: `${upstream.origin}/SHA256SUMS` }, 'sums');
    await expect(penstock.sync('releases')).resolves.toMatchObject({ version: 1, present: 2, downloaded: 2 });

    upstream.put('penstock-1.0.tar', 'mended');
    upstream.put('SHA256SUMS', `${sha256('mended')}  penstock-1.0.tar\n`);
    await expect(penstock.sync('releases')).resolves.toMatchObject({ version: 2, added: 1, removed: 1, present: 2 });
  });

  it('refuses a list that is none, naming the line', async () => {
    upstream.put('broken', `${sha256('one')}  a\n<html>\n`);
    await penstock.addRepository('broken', { url: `${upstream.origin}/broken` }, 'sums');
    await expect(penstock.sync('broken')).rejects.toMatchObject({
      type: 'InvalidMetadata',
      message: expect.stringMatching(/line 2: expected a sha256 and a path/) as unknown,
    });
  });
});

describe('docs/plugins.md', () => {
  // Read from top to bottom, its examples are one module.
  const module = plugins.blocks('ts').join('\n');

  it('has examples without type errors', () => {
    expect(typeErrors('src/plugins/galaxy/index.ts', module)).toEqual([]);
  });

  it('defines a plugin that Penstock accepts', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-docs-'));
    try {
      const { galaxy } = await load(folder, 'src/plugins/galaxy/index.ts', module);
      expect(galaxy).toMatchObject({ name: 'galaxy' });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('README.md and docs/', () => {
  it('list every setting, and no other', () => {
    const read = [...variablesOfPenstock(), ...variablesOfTemporal(), 'NO_COLOR'];
    expect(readme.variables().sort()).toEqual(read.sort());
  });

  it('link to what is there', () => {
    for (const document of [readme, plugins, monitoring, operations, upgrades]) {
      const links = document.links();
      expect(links.length).toBeGreaterThan(0);
      for (const link of links) {
        const target = join(root, dirname(document.path), link);
        expect([link, existsSync(target)]).toEqual([link, true]);
      }
    }
  });

  it('show only commands and options that there are', async () => {
    const commands = [...readme.commands(), ...monitoring.commands(), ...operations.commands()];
    expect(commands.length).toBeGreaterThan(10);
    const known = await readCommands();
    for (const [command = '', second = '', ...rest] of commands) {
      const options = known[`${command} ${second}`] ?? known[command];
      const used = [second, ...rest].filter((word) => word.startsWith('--'));
      expect([command, options]).toEqual([command, expect.any(Array)]);
      expect([command, options]).toEqual([command, expect.arrayContaining(used)]);
    }
  });
});

/** The options of every command, by its name: `up`, `sync`, `sync list`, and so on. */
async function readCommands(): Promise<Readonly<Record<string, readonly string[]>>> {
  const program = join(root, 'dist', 'src', 'cli', 'program.js');
  const script = `
    const describe = (command, path) => [
      [path, command.options.map((option) => option.long)],
      ...command.commands.flatMap((each) => describe(each, (path + ' ' + each.name()).trim())),
    ];
    require(${JSON.stringify(program)}).buildProgram([]).then((program) => {
      console.log(JSON.stringify(Object.fromEntries(describe(program, ''))));
    });`;
  const { stdout } = await run(process.execPath, ['-e', script]);
  return JSON.parse(stdout) as Record<string, string[]>;
}

/** Loads code as if it were the file at a path of the project. */
async function load(folder: string, path: string, code: string): Promise<Record<string, unknown>> {
  const file = join(folder, 'index.ts');
  const above = join(root, dirname(path), '..');
  await writeFile(file, code.replaceAll(/from '\.\.\//g, `from '${above}/`));
  return (await import(file)) as Record<string, unknown>;
}
