import { STATUS_CODES } from 'node:http';

import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { DownloadPools } from '../downloads/download-pool';
import { UnexpectedStatus } from '../downloads/download-error';
import type { DownloadError } from '../downloads/download-error';
import type { DownloadObserver } from '../downloads/retries';

/** How an attempt of a stage has ended: `retried` by Temporal, `failed` for good, `stale` where a later attempt had taken over. */
export type StageOutcome = 'completed' | 'retried' | 'failed' | 'canceled' | 'stale';

/** The hosts that upstream's metadata names may be any; all but the one of the remote's url count as this. */
const otherHosts = 'other';

/** What a worker counts, for Prometheus. Every label has few values, whatever upstream says. */
export class WorkerMetrics {
  readonly registry = new Registry();
  private readonly registers = [this.registry];

  readonly unitsDiscovered = new Counter({
    name: 'penstock_units_discovered_total',
    help: 'Units that first stages have declared and that were staged.',
    registers: this.registers,
  });
  readonly contentsSaved = new Counter({
    name: 'penstock_contents_saved_total',
    help: 'Contents that were new and were saved.',
    registers: this.registers,
  });
  private readonly stageDuration = new Histogram({
    name: 'penstock_stage_duration_seconds',
    help: 'How long attempts of a stage took, however they ended.',
    labelNames: ['stage'],
    buckets: [0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1800, 7200, 28_800],
    registers: this.registers,
  });
  private readonly stageAttempts = new Counter({
    name: 'penstock_stage_attempts_total',
    help: 'Attempts of a stage that have ended: completed, retried, failed, canceled or stale.',
    labelNames: ['stage', 'outcome'],
    registers: this.registers,
  });
  private readonly stagesRunning = new Gauge({
    name: 'penstock_stages_running',
    help: 'Attempts of a stage that run now.',
    labelNames: ['stage'],
    registers: this.registers,
  });
  private readonly downloads = new Counter({
    name: 'penstock_downloads_total',
    help: 'Urls that were fetched, or found to be unchanged or stored.',
    labelNames: ['host'],
    registers: this.registers,
  });
  private readonly downloadBytes = new Counter({
    name: 'penstock_download_bytes_total',
    help: 'Bytes of bodies that were received, also of those that broke.',
    labelNames: ['host'],
    registers: this.registers,
  });
  private readonly downloadRetries = new Counter({
    name: 'penstock_download_retries_total',
    help: 'Attempts that failed and were followed by another one.',
    labelNames: ['host', 'cause', 'status'],
    registers: this.registers,
  });
  private readonly downloadFailures = new Counter({
    name: 'penstock_download_failures_total',
    help: 'Urls that were given up.',
    labelNames: ['host', 'cause', 'status'],
    registers: this.registers,
  });

  /** Shows how many download slots there are, and how many are in use. */
  watchPools(pools: DownloadPools): void {
    const { registers } = this;
    new Gauge({
      name: 'penstock_download_slots',
      help: 'Downloads that the syncs of this worker may make at once.',
      registers,
      collect() {
        this.set(pools.slots.all);
      },
    });
    new Gauge({
      name: 'penstock_download_slots_used',
      help: 'Downloads that are under way.',
      registers,
      collect() {
        this.set(pools.slots.used);
      },
    });
  }

  /** Counts an attempt of a stage; to be told how it ended. */
  beginStage(stage: string): (outcome: StageOutcome) => void {
    this.stagesRunning.inc({ stage });
    const elapsed = this.stageDuration.startTimer({ stage });
    return (outcome) => {
      elapsed();
      this.stagesRunning.dec({ stage });
      this.stageAttempts.inc({ stage, outcome });
    };
  }

  /** Counts what is fetched for a remote. */
  downloadsOf(remoteUrl: string): DownloadObserver {
    const own = hostOf(remoteUrl);
    // Nearly all urls begin like the remote's, and are not worth being parsed for each file.
    const prefix = /^https?:\/\/[^/]+\//.exec(remoteUrl)?.[0];
    const isOwn = (url: string) => (prefix !== undefined && url.startsWith(prefix)) || hostOf(url) === own;
    const host = (url: string) => (isOwn(url) ? own : otherHosts);
    return {
      downloaded: (url) => {
        this.downloads.inc({ host: host(url) });
      },
      received: (url, bytes) => {
        this.downloadBytes.inc({ host: host(url) }, bytes);
      },
      retried: (url, error) => {
        this.downloadRetries.inc({ host: host(url), ...causeOf(error) });
      },
      gaveUp: (url, error) => {
        this.downloadFailures.inc({ host: host(url), ...causeOf(error) });
      },
    };
  }
}

function hostOf(url: string): string {
  if (!URL.canParse(url)) return otherHosts;
  const { host, protocol } = new URL(url);
  return protocol === 'file:' ? 'file' : host;
}

/** The class of the error, and the status where that is what was wrong with the answer. */
function causeOf(error: DownloadError): { readonly cause: string; readonly status: string } {
  if (!(error instanceof UnexpectedStatus)) return { cause: error.name, status: '' };
  return { cause: error.name, status: error.status in STATUS_CODES ? String(error.status) : 'other' };
}
