import { formatBytes, formatCount, formatSeconds } from './amounts';
import type { Output } from './output';
import { ProgressBars } from './progress-bars';
import type { ProgressRow } from './progress-rates';

/** Shows how far a sync is. */
export interface ProgressDisplay {
  /** Milliseconds between two updates. */
  readonly interval: number;
  update(rows: readonly ProgressRow[]): void;
  end(): void;
}

/** Bars where a person looks, events with `--json`, nothing with `--quiet`, lines otherwise. */
export function openDisplay(output: Output): ProgressDisplay {
  if (output.json) return new ProgressEvents(output);
  if (output.quiet) return { interval: 1000, update: () => undefined, end: () => undefined };
  return process.stderr.isTTY && process.env.TERM !== 'dumb' ? new ProgressBars(output) : new ProgressLines(output);
}

/** What stands beside a bar, or in a line: amounts, rates, time left. */
export function describeAmounts({
  done,
  total,
  bytes,
  perSecond,
  bytesPerSecond,
  secondsLeft,
  code,
}: ProgressRow): string[] {
  const counts = total === null || total === 0 ? formatCount(done) : `${formatCount(done)} of ${formatCount(total)}`;
  const over = total !== null && done >= total;
  return [
    `${counts} ${unitOf[code]?.[(total ?? done) === 1 ? 0 : 1] ?? ''}`.trim(),
    ...(bytes === null || bytes === 0 ? [] : [formatBytes(bytes)]),
    ...(over || !bytesPerSecond ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(over || !perSecond || perSecond < 0.5 || bytesPerSecond ? [] : [`${formatCount(perSecond)}/s`]),
    ...(secondsLeft === null ? [] : [`${formatSeconds(Math.ceil(secondsLeft))} left`]),
  ];
}

const files = ['file', 'files'] as const;
const units = ['unit', 'units'] as const;
const unitOf: Readonly<Record<string, readonly [one: string, many: string]>> = {
  'sync.downloading.metadata': files,
  'sync.parsing.metadata': units,
  'sync.downloading.artifacts': files,
  'associating.content': units,
  'unassociating.content': units,
  'repair.artifacts': ['artifact', 'artifacts'],
};

/** A line for each part that has moved, seldom enough for a log. */
class ProgressLines implements ProgressDisplay {
  readonly interval = 1000;
  private readonly shown = new Map<string, string>();
  private next = Date.now() + 2000;
  private pause = 5000;

  constructor(private readonly output: Output) {}

  update(rows: readonly ProgressRow[]): void {
    if (Date.now() < this.next) return;
    this.next = Date.now() + this.pause;
    // A long sync is looked at less often.
    this.pause = Math.min(this.pause * 1.5, 60_000);
    for (const row of rows) {
      const amounts = describeAmounts(row);
      const key = `${row.done}/${row.total ?? ''}/${row.bytes ?? ''}`;
      if (this.shown.get(row.code) === key || (row.done === 0 && !row.total)) continue;
      this.shown.set(row.code, key);
      this.output.note(`${row.message}: ${amounts.join(', ')}`);
    }
  }

  end(): void {
    this.next = Infinity;
  }
}

/** A line of JSON at each change. */
class ProgressEvents implements ProgressDisplay {
  readonly interval = 1000;
  private last = '';

  constructor(private readonly output: Output) {}

  update(rows: readonly ProgressRow[]): void {
    const key = JSON.stringify(rows.map(({ done, total, bytes, state }) => [done, total, bytes, state]));
    if (rows.length === 0 || key === this.last) return;
    this.last = key;
    const progress = rows.map((row) => ({ ...row, suffix: undefined }));
    void this.output.item({ event: 'progress', progress }, () => '');
  }

  end(): void {
    this.last = '';
  }
}
