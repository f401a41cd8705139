import { randomBytes } from 'node:crypto';

import { Client } from 'pg';

/** An empty database of a test's own. */
export interface TestDatabase {
  readonly url: string;
  /** Ends all its connections and removes it. */
  drop(): Promise<void>;
}

/** Makes an empty database in the PostgreSQL of all tests, or in the given one. */
export async function createDatabase(server = serverUrl()): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer(server, `create database ${name} template template0`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => onServer(server, `drop database if exists ${name} with (force)`) };
}

async function onServer(server: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function serverUrl(): string {
  const url = process.env.PENSTOCK_TEST_DATABASE_URL;
  if (!url)
    throw new Error('PENSTOCK_TEST_DATABASE_URL is not set: run the tests with Jest, which starts their services.');
  return url;
}
