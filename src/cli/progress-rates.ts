import type { ProgressView } from '../syncs/sync-views';

/** A line of progress with what it says about time. */
export interface ProgressRow extends ProgressView {
  /** Bytes that have come; only of downloads. */
  readonly bytes: number | null;
  readonly perSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly secondsLeft: number | null;
}

interface Sample {
  readonly at: number;
  readonly done: number;
  readonly bytes: number;
  readonly total: number | null;
}

/** Milliseconds that rates are taken over: short enough to be of now, long enough not to jump. */
const span = 10_000;

/** Bytes that have come; `null` where it is no matter of bytes. */
export function bytesOf({ code, suffix }: ProgressView): number | null {
  return code === 'sync.downloading.artifacts' ? Number.parseInt(suffix ?? '0', 10) : null;
}

/** Rates and time left, from how progress changes between one look and the next. */
export class ProgressRates {
  private readonly samples = new Map<string, Sample[]>();

  /** @param now milliseconds of any clock that does not go back. */
  rows(progress: readonly ProgressView[], now: number): ProgressRow[] {
    return progress.map((line) => {
      const bytes = bytesOf(line);
      const samples = (this.samples.get(line.code) ?? []).filter(({ at }) => now - at <= span);
      samples.push({ at: now, done: line.done, bytes: bytes ?? 0, total: line.total });
      this.samples.set(line.code, samples);
      const first = samples[0];
      const seconds = first ? (now - first.at) / 1000 : 0;
      const rate = (value: number, before: number) =>
        seconds >= 0.5 && value >= before ? (value - before) / seconds : null;
      const perSecond = rate(line.done, first?.done ?? 0);
      // A total that still grows says nothing about the end.
      const left = line.total === null || first?.total !== line.total ? null : line.total - line.done;
      return {
        ...line,
        bytes,
        perSecond,
        bytesPerSecond: bytes === null ? null : rate(bytes, first?.bytes ?? 0),
        secondsLeft: left === null || left <= 0 || !perSecond ? null : left / perSecond,
      };
    });
  }
}
