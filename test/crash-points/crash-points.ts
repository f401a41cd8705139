import * as fs from 'node:fs';

import type { Pool, PoolClient } from 'pg';

import type { Database } from '../../src/models/database';
import { FileStorage } from '../../src/storage/file-storage';
import type { Storage } from '../../src/storage/storage';
import { Attempt } from './attempt';

/** What a crash takes with it: the attempt it happens in, all that its worker runs, or also Temporal, which knew of the sync. */
export type Extent = 'attempt' | 'worker' | 'everything';

/** A crash that is to happen once. */
export interface PlannedCrash {
  readonly point: string;
  readonly extent: Extent;
}

/** What an activity is thrown by whatever it uses, once the connection or the process is gone. */
export class Crashed extends Error {
  readonly code = 'ECONNRESET';
}

/** The places where something is about to be, or was just, made durable; at one of them the activity crashes. */
export class CrashPoints {
  /** Those that were passed, in their order, as `saveContents of batch 2: before commit 1`. */
  readonly passed: string[] = [];
  /** The planned crash, once it has happened. */
  happened: PlannedCrash | undefined;

  /** @param onCrash - told of the crash, so that it can end what else it takes with it */
  constructor(
    private readonly planned: PlannedCrash | undefined,
    private readonly onCrash: (extent: Extent) => void,
  ) {}

  /** @throws {@link Crashed} at the planned point, and at all points of a worker that is dead */
  pass(step: string): void {
    const attempt = Attempt.current();
    requireAlive(attempt);
    const point = attempt.nameOf(step);
    this.passed.push(point);
    if (this.happened || this.planned?.point !== point) return;
    this.happened = this.planned;
    this.onCrash(this.planned.extent);
    throw new Crashed(`A crash at "${point}"`);
  }
}

/** Nothing of a dead process has an effect. */
function requireAlive({ cancellationSignal }: Attempt): void {
  if (cancellationSignal.aborted) throw new Crashed('The worker is dead');
}

/** Told of each crash point; which one listens changes from run to run. */
export type Pass = (step: string) => void;

/** Runs something durable with a crash point before and after it. */
async function around<T>(pass: Pass, step: string, work: () => Promise<T>): Promise<T> {
  pass(`before ${step}`);
  const result = await work();
  pass(`after ${step}`);
  return result;
}

/** A database whose commits are crash points: those of transactions, and statements that are one of their own. */
export function crashableDatabase(database: Database, pass: Pass): Database {
  const { pool } = database;
  return {
    ...database,
    pool: withMethods(pool, {
      query: (text: string, values?: unknown[]) => {
        requireAlive(Attempt.current());
        const run = () => pool.query(text, values);
        return /^\s*select/.test(text) ? run() : around(pass, 'statement', run);
      },
      connect: async () => {
        requireAlive(Attempt.current());
        return crashableClient(await pool.connect(), pass);
      },
    }),
  };
}

function crashableClient(client: PoolClient, pass: Pass): PoolClient {
  return withMethods(client, {
    query: (statement: string | object, values?: unknown[]) => {
      // Where the process is gone, the server rolls back by itself.
      if (statement === 'rollback') return client.query(statement);
      requireAlive(Attempt.current());
      if (statement === 'commit') return around(pass, 'commit', () => client.query('commit'));
      return client.query(statement as string, values);
    },
  });
}

function withMethods<T extends Pool | PoolClient>(target: T, methods: Readonly<Record<string, unknown>>): T {
  return new Proxy(target, {
    get(object, name) {
      const own = methods[String(name)];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(object, name);
      return typeof value === 'function' ? (value as () => unknown).bind(object) : value;
    },
  });
}

/**
 * A storage whose renames and removals are crash points. It does not flush: these crashes leave the machine running, and the flush is
 * most of what a small sync takes.
 */
export async function crashableStorage(root: string, pass: Pass): Promise<Storage> {
  const storage = await FileStorage.open(root, {
    ...fs,
    renameSync: (from, to) => {
      pass('before rename');
      fs.renameSync(from, to);
      pass('after rename');
    },
  });
  return {
    create: () => storage.create(),
    sizeOf: (key) => storage.sizeOf(key),
    find: (key) => storage.find(key),
    move: (key, to) => storage.move(key, to),
    room: () => storage.room(),
    readAll: (key) => storage.readAll(key),
    read: (key, range) => storage.read(key, range),
    list: (prefix) => storage.list(prefix),
    remove: (key) => storage.remove(key),
    removeAll: (prefix) => around(pass, 'removal', () => storage.removeAll(prefix)),
    flush: () => Promise.resolve(),
  };
}
