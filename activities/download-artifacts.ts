import { setMaxListeners } from 'node:events';

import { log } from '@temporalio/activity';

import type { WantedArtifact } from '../src/downloads/download-artifact';
import { downloadArtifact } from '../src/downloads/download-artifact';
import { digestNames } from '../src/downloads/digests';
import type { DigestName, Digests } from '../src/downloads/digests';
import type { Wait } from '../src/downloads/retries';
import { PenstockError } from '../src/errors';
import { findWholeFile } from '../src/storage/find-whole-file';
import { StorageError } from '../src/storage/storage-error';
import { activitySignal } from './activity-signal';
import { AlternateDownloads } from './alternate-downloads';
import type { ActivityDependencies } from './dependencies';
import { DownloadRecord } from './download-record';
import { describeHeartbeats } from './interceptors';
import { oneRequestAtATime, withRemote } from './remote-session';
import type { RemoteSession } from './remote-session';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';
import { requireRoom } from './storage-room';

interface WantedRow extends Readonly<Record<DigestName, string | null>> {
  readonly unitId: string;
  readonly path: string;
  readonly urls: readonly string[];
  readonly size: number | null;
}

/** Downloads of a batch that are ready to go on when a slot comes back. Each costs memory, also while it only waits. */
const spareLanes = 8;
/** Downloads of a batch that are looked after at once at most: nearly all of them wait for their next attempt, without a slot. */
const mostLanes = 2000;

/**
 * Downloads the batch's artifacts that are neither stored nor deferred, each within the remote's limits and retries. What
 * fails is noted and the rest goes on. What an earlier attempt has put in place before it died is taken, not fetched again.
 */
export const downloadArtifacts =
  (dependencies: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(dependencies.database.pool, input);
    const wanted = await attempt.transaction(async (client) => {
      await client.query('update staged_artifacts set error = null where batch_id = $1 and error is not null', [
        attempt.batchId,
      ]);
      const { rows } = await client.query<WantedRow>(wantedArtifacts, [attempt.batchId]);
      return rows;
    });
    const declared = wanted.reduce((sum, { size }) => sum + (size ?? 0), 0);
    await requireRoom(dependencies, input.syncId, declared);
    const record = new DownloadRecord(attempt, dependencies.storage, (error) => {
      log.warn('not written down yet', { error });
    });
    describeHeartbeats(() => ({
      downloaded: record.stored,
      of: wanted.length,
      bytes: record.bytes,
      ...record.waits.describe(),
    }));
    await withRemote(dependencies, input.syncId, input.share ?? oneRequestAtATime, (session) =>
      AlternateDownloads.with(dependencies, wanted, (alternates) =>
        downloadAll(dependencies, session, alternates, wanted, record),
      ),
    );
    return attempt.transaction((client) => attempt.tally(client));
  };

async function downloadAll(
  { storage, settings }: ActivityDependencies,
  { remoteId, client, pool, connection, observer }: RemoteSession,
  alternates: AlternateDownloads,
  wanted: readonly WantedRow[],
  record: DownloadRecord,
): Promise<void> {
  // One that cannot be a matter of this artifact alone (a full disk, a lost database) ends the others too.
  const ended = new AbortController();
  const signal = AbortSignal.any([activitySignal(), ended.signal]);
  setMaxListeners(0, signal);
  const context = {
    client,
    pool,
    observer,
    storage,
    findStored: (digests: Digests, size: number | undefined) => findWholeFile(storage, digests, size, signal),
    signal,
    maxRetries: connection.maxRetries,
    allowWeakDigests: settings.allowWeakDigests,
    onBytes: (bytes: number) => {
      record.bytes += bytes;
    },
    onWait: (wait: Wait) => {
      log.info(wait.reason, { remote: connection.name, url: wait.url, until: wait.until });
      record.waits.add(wait);
      addLane();
    },
  };
  const download = async ({ unitId, path, ...row }: WantedRow): Promise<void> => {
    try {
      const artifact = asWanted(row);
      const elsewhere = await alternates.download(artifact, remoteId, context);
      const { sha256, size } = elsewhere ?? (await downloadArtifact(artifact, context));
      record.add({ unitId, path, sha256, size, error: null });
    } catch (error) {
      if (signal.aborted || !(error instanceof PenstockError) || error instanceof StorageError) throw error;
      record.add({ unitId, path, sha256: null, size: null, error });
    }
  };
  const rows = wanted.values();
  const lanes: Promise<void>[] = [];
  const lane = async (): Promise<void> => {
    try {
      for (const row of rows) await download(row);
    } catch (error) {
      ended.abort(error);
    }
  };
  const addLane = (): void => {
    if (lanes.length < mostLanes) lanes.push(lane());
  };

  /** Lanes that are added meanwhile are waited for as well. */
  async function allLanes(): Promise<void> {
    for (const each of lanes) await each;
    signal.throwIfAborted();
  }

  const slots = Math.max(connection.downloadConcurrency, alternates.downloadConcurrency);
  while (lanes.length < Math.min(wanted.length, slots + spareLanes)) addLane();
  try {
    await record.whileWriting(allLanes());
  } catch (error) {
    ended.abort(error);
    // Nothing of this attempt may go on after it has ended, and what it has downloaded is kept.
    await Promise.all(lanes);
    // What ended the downloads is what counts, also where the database is what is gone.
    await record.flush().catch(() => undefined);
    throw error;
  }
}

function asWanted({ urls, size, ...row }: Omit<WantedRow, 'unitId' | 'path'>): WantedArtifact {
  const digests = Object.fromEntries(digestNames.flatMap((name) => (row[name] ? [[name, row[name]]] : [])));
  return { urls, digests, ...(size === null ? {} : { size }) };
}

const wantedArtifacts = `
  select staged.unit_id as "unitId", staged.relative_path as path, staged.urls, staged.size::float8 as size,
         ${digestNames.map((name) => `staged.${name}`).join(', ')}
    from staged_artifacts staged
    join staged_units unit on unit.id = staged.unit_id
   where unit.batch_id = $1 and unit.outcome is null
     and staged.artifact_id is null and staged.stored_sha256 is null and not staged.deferred
   order by staged.unit_id, staged.relative_path`;
