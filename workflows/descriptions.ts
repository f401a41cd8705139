import type { BatchTally } from '../activities/stage';
import type { RefreshProgress } from '../src/alternates/refreshes';
import type { RepairProgress } from '../src/repairing/repair';
import type { CleaningProgress } from '../src/cleaning/cleaning';
import type { DownloadProgress } from '../src/fetching/version-download';
import type { ReclaimProgress } from '../src/reclaiming/reclaim';
import type { SyncProgress } from './messages';

/** The Markdown that the Web UI shows of a running sync; the most important lines first, as it cuts after a few. */
export function describeProgress(progress: SyncProgress): string {
  const { repository, stage, paused, version, batches, discoveries, stages } = progress;
  const rows = stages.map(
    ({ stage: name, batches: done, units, bytes, milliseconds }) =>
      `| ${name} | ${count(done)} of ${count(batches.discovered)} | ${count(units)} | ${bytes > 0 ? formatBytes(bytes) : ''} | ${rate(units, milliseconds)} |`,
  );
  return [
    `**${repository}**, version ${version === null ? 'not begun' : count(version)}: ${paused === null ? stage : `paused (${paused})`}, ${count(batches.finished)} of ${count(batches.discovered)} batches, ${count(discoveries.finished)} of ${count(discoveries.opened)} discoveries`,
    '',
    '| stage | batches | units | bytes | units/s |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

/** The summary of a stage's activity, as `download batch 12 · 1,000 artifacts · 38 MB`. */
export function describeStage(stage: string, batch: number, tally: BatchTally | undefined): string {
  if (tally && stage === 'downloadArtifacts') {
    return `download batch ${count(batch)} · ${count(tally.downloads)} artifacts · ${formatBytes(tally.downloadBytes)}`;
  }
  return `${words(stage)} of batch ${count(batch)}${tally ? ` · ${count(tally.units)} units` : ''}`;
}

/** The Markdown that the Web UI shows of a repair. */
export function describeRepair({ over, checked, total, ...repair }: RepairProgress): string {
  return [
    `**${over ? 'Over' : 'Repairing'}**: ${count(checked)} of ${count(total)} artifacts checked, ${formatBytes(repair.checkedBytes)} read`,
    `${count(repair.lost)} lost and ${count(repair.rotten)} rotten, of which ${count(repair.mended)} mended; ${count(repair.failed)} could not be`,
  ].join('\n\n');
}

/** The Markdown that the Web UI shows of a cleaning. */
export function describeCleaning({ dryRun, phase, contents, artifacts, files, bytes }: CleaningProgress): string {
  return [
    `**${phase === 'over' ? 'Over' : `Cleaning ${phase}`}**${dryRun ? ', as a dry run' : ''}`,
    `${dryRun ? 'Would free' : 'Freed'} ${count(contents)} contents, ${count(artifacts)} artifacts, ${count(files)} files, ${formatBytes(bytes)}`,
  ].join('\n\n');
}

/** The Markdown that the Web UI shows of a download. */
export function describeDownload({
  over,
  repository,
  version,
  total,
  totalBytes,
  ...download
}: DownloadProgress): string {
  return [
    `**${over ? 'Over' : 'Fetching'}** version ${count(version)} of ${repository}: ${count(download.fetched)} of ${count(total)} files, ${formatBytes(download.fetchedBytes)} of ${formatBytes(totalBytes)}`,
    `${count(download.failed)} could not be had`,
  ].join('\n\n');
}

/** The Markdown that the Web UI shows of a reclaim. */
export function describeReclaim({ dryRun, over, contents, files, bytes }: ReclaimProgress): string {
  return [
    `**${over ? 'Over' : 'Reclaiming'}**${dryRun ? ', as a dry run' : ''}`,
    `${dryRun ? 'Would free' : 'Freed'} ${count(files)} files, ${formatBytes(bytes)}; ${count(contents)} paths are on demand`,
  ].join('\n\n');
}

/** The Markdown that the Web UI shows of a refresh. */
export function describeRefresh({ over, read, paths, artifacts, withoutSha256, unexplored }: RefreshProgress): string {
  return [
    `**${over ? 'Over' : 'Refreshing'}**: ${count(read)} of ${count(paths)} paths read, ${count(artifacts)} files found`,
    `${count(withoutSha256)} without sha256; ${count(unexplored)} contents lead to more than could be found out`,
  ].join('\n\n');
}

/** A number with thousands separators. */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Bytes in decimal units with two or three digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value).toString() : value.toFixed(1)} ${units[unit] ?? ''}`;
}

function rate(units: number, milliseconds: number): string {
  return milliseconds > 0 ? count((units * 1000) / milliseconds) : '';
}

/** `saveContents` as `save contents`. */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
