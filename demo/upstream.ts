import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

const tools = [
  'anvil',
  'bellows',
  'caliper',
  'derrick',
  'easel',
  'flume',
  'gantry',
  'hopper',
  'impeller',
  'jack',
].concat(['kiln', 'lathe', 'mortar', 'nozzle', 'orifice', 'pulley', 'quern', 'rivet', 'sluice', 'turbine']);
const versions = ['1.0.0', '1.1.0', '1.2.0', '1.2.1', '1.3.0', '2.0.0'];
const pages = ['README', 'INSTALL', 'CHANGES'];

/** How many files a change of upstream has added, replaced and taken away. */
export interface UpstreamChange {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

/** A small file repository on the disk, served over HTTP on the loopback address: 200 files and a `PULP_MANIFEST`. */
export class Upstream {
  private readonly manifest = new Map<string, { readonly sha256: string; readonly size: number }>();
  private readonly server = createServer(({ url = '/' }, response) => {
    this.answer(decodeURIComponent(url.slice(1)), response);
  });

  private constructor(private readonly folder: string) {}

  /** Makes the files below `folder`, and serves them at a free port. */
  static async start(folder: string): Promise<Upstream> {
    const upstream = new Upstream(folder);
    for (const tool of tools) {
      for (const version of versions) await upstream.put(packagePath(tool, version), 20_000, 200_000);
      for (const page of pages) await upstream.put(pagePath(tool, page), 1_000, 12_000);
      await upstream.put(`images/${tool}.img`, 250_000, 600_000);
    }
    await upstream.writeManifest();
    await new Promise<void>((resolve, reject) => {
      upstream.server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/PULP_MANIFEST`;
  }

  get files(): number {
    return this.manifest.size;
  }

  get bytes(): number {
    return [...this.manifest.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** What a week may bring: new releases, corrected pages, and old releases that are gone. */
  async change(): Promise<UpstreamChange> {
    const [released, corrected, retired] = [tools.slice(0, 12), tools.slice(6, 14), tools.slice(11)];
    for (const tool of released) await this.put(packagePath(tool, '2.1.0'), 20_000, 200_000);
    for (const tool of corrected) await this.put(pagePath(tool, 'CHANGES'), 1_000, 12_000, 'corrected');
    for (const tool of retired) await this.remove(packagePath(tool, '1.0.0'));
    await this.writeManifest();
    return { added: released.length, changed: corrected.length, removed: retired.length };
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  /** Writes a file whose size and content follow from its path, so that every demo syncs the same. */
  private async put(path: string, least: number, most: number, edition = 'first'): Promise<void> {
    const seed = createHash('sha256').update(`${edition} ${path}`).digest();
    const size = least + (seed.readUInt32BE() % (most - least));
    const content = createCipheriv('aes-128-ctr', seed.subarray(0, 16), seed.subarray(16)).update(Buffer.alloc(size));
    await mkdir(dirname(join(this.folder, path)), { recursive: true });
    await writeFile(join(this.folder, path), content);
    this.manifest.set(path, { sha256: createHash('sha256').update(content).digest('hex'), size });
  }

  private async remove(path: string): Promise<void> {
    await rm(join(this.folder, path));
    this.manifest.delete(path);
  }

  private async writeManifest(): Promise<void> {
    const lines = [...this.manifest].map(([path, { sha256, size }]) => `${path},${sha256},${size}\n`);
    await writeFile(join(this.folder, 'PULP_MANIFEST'), lines.join(''));
  }

  private answer(path: string, response: ServerResponse): void {
    if (path !== 'PULP_MANIFEST' && !this.manifest.has(path)) {
      response.writeHead(404).end();
      return;
    }
    createReadStream(join(this.folder, path))
      .on('error', () => response.destroy())
      .pipe(response);
  }
}

function packagePath(tool: string, version: string): string {
  return `packages/${tool}/${tool}-${version}.bin`;
}

function pagePath(tool: string, page: string): string {
  return `docs/${tool}/${page}.md`;
}
