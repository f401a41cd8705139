import { MultiBar, Presets } from 'cli-progress';
import type { SingleBar } from 'cli-progress';

import type { Output } from './output';
import { describeAmounts } from './progress-display';
import type { ProgressDisplay } from './progress-display';
import type { ProgressRow } from './progress-rates';

const barWidth = 24;
const nameWidth = 'Downloading Artifacts'.length;

/** A bar for each part of a sync, on stderr. */
export class ProgressBars implements ProgressDisplay {
  readonly interval = 250;
  private readonly bars = new Map<string, SingleBar>();
  private readonly multiBar = new MultiBar(
    {
      stream: process.stderr,
      fps: 8,
      hideCursor: true,
      linewrap: false,
      clearOnComplete: false,
      forceRedraw: true,
      // Signals are the command's.
      gracefulExit: false,
      format: (_options, _params, payload: { readonly row: ProgressRow }) => draw(payload.row),
    },
    Presets.shades_classic,
  );
  private ended = false;

  constructor(private readonly output: Output) {
    output.above = (line) => {
      // What the bars have drawn there is longer than the line.
      this.multiBar.log(`${line.replaceAll('\n', '\u001b[K\n')}\u001b[K\n`);
    };
  }

  update(rows: readonly ProgressRow[]): void {
    if (this.ended) return;
    for (const row of rows) {
      const total = row.total ?? 0;
      const bar = this.bars.get(row.code) ?? this.multiBar.create(total, row.done, { row });
      this.bars.set(row.code, bar);
      bar.setTotal(total);
      bar.update(row.done, { row });
    }
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.multiBar.stop();
    this.output.above = undefined;
  }
}

function draw(row: ProgressRow): string {
  const { message, done, total } = row;
  const share = total ? Math.min(done / total, 1) : 0;
  const filled = Math.round(share * barWidth);
  const bar = total === null ? ' '.repeat(barWidth) : '█'.repeat(filled) + '░'.repeat(barWidth - filled);
  const percent = total
    ? `${Math.floor(share * 100)
        .toString()
        .padStart(3)} %`
    : '     ';
  const line = [message.padEnd(nameWidth), bar, percent, ...describeAmounts(row)].join('  ');
  return line.slice(0, Math.max((process.stderr.columns || 80) - 1, 20));
}
