import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client } from 'pg';

import type { ServiceSettings } from '../../src/embedded/services';

/** Free ports, on data in a folder that only this user may enter. */
export async function makeSettings(more: Partial<ServiceSettings> = {}): Promise<ServiceSettings> {
  const dataDir = await mkdtemp(join(tmpdir(), 'penstock-embedded-'));
  return { dataDir, temporalGiven: false, ports: { postgres: 0, temporal: 0, ui: 0 }, ...more };
}

/** Removes the data. */
export async function removeData({ dataDir }: ServiceSettings): Promise<void> {
  await rm(dataDir, { recursive: true, force: true });
}

/** Runs one statement and returns its rows. */
export async function query<Row>(url: string, statement: string): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(statement)).rows as Row[];
  } finally {
    await client.end();
  }
}

/** Waits until something is so, for some seconds. */
export async function until(condition: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Not within 20 seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The port of a database url. */
export function portOf(url: string): number {
  return Number(new URL(url).port);
}
