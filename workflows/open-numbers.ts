import type { NumberRange } from '../activities/open-numbers';

/** Numbers from 1 that are open, running or over; the open ones are held as ranges, in their order. */
export class OpenNumbers {
  /** The highest number that is known. */
  known = 0;
  running = 0;
  finished = 0;
  private open: NumberRange[] = [];

  /** Begins with all numbers up to `known` over, but for those in the ranges. */
  begin(known: number, open: readonly NumberRange[]): void {
    this.known = known;
    this.open = [...open];
    this.finished = known - this.open.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  /** There are numbers up to this one; lower than what is known says nothing. */
  extendTo(number: number): void {
    if (number <= this.known) return;
    this.open.push([this.known + 1, number]);
    this.known = number;
  }

  get hasOpen(): boolean {
    return this.open.length > 0;
  }

  /** Takes the lowest open number. */
  take(): number {
    const [range, ...others] = this.open;
    if (!range) throw new Error('no number is open');
    const [first, last] = range;
    this.open = first === last ? others : [[first + 1, last], ...others];
    this.running += 1;
    return first;
  }

  finish(): void {
    this.running -= 1;
    this.finished += 1;
  }

  /** A number that was running is open again. */
  giveBack(number: number): void {
    this.running -= 1;
    this.open = [...this.open, [number, number] as const].sort(([a], [b]) => a - b);
  }

  ranges(): readonly NumberRange[] {
    return this.open;
  }
}
