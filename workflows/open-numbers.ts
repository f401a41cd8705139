import type { NumberRange } from '../activities/open-numbers';

/** Numbers from 1 that are open, running or over; the open ones are held as ranges, in their order. */
export class OpenNumbers {
  /** The highest number that is known. */
  known = 0;
  finished = 0;
  private open: NumberRange[] = [];
  /** The running numbers, each with the highest number that was announced since it was taken. */
  private readonly taken = new Map<number, number>();

  /** Begins with all numbers up to `known` over, but for those in the ranges. */
  begin(known: number, open: readonly NumberRange[]): void {
    this.known = known;
    this.open = [...open];
    this.finished = known - this.open.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  /** There are numbers up to this one; lower than what is known says nothing. */
  extendTo(number: number): void {
    for (const [running, announced] of this.taken) this.taken.set(running, Math.max(announced, number));
    if (number <= this.known) return;
    // What was withdrawn while higher numbers ran is known again, and those are running still.
    const running = [...this.taken.keys()].filter((each) => each > this.known && each <= number).sort((a, b) => a - b);
    let first = this.known + 1;
    for (const each of [...running, number + 1]) {
      if (first < each) this.open.push([first, each - 1]);
      first = each + 1;
    }
    this.known = number;
  }

  /** How many are open or running; at least one. */
  get left(): number {
    return Math.max(1, this.running + this.open.reduce((sum, [first, last]) => sum + last - first + 1, 0));
  }

  get hasOpen(): boolean {
    return this.open.length > 0;
  }

  get running(): number {
    return this.taken.size;
  }

  /** Takes the lowest open number. */
  take(): number {
    const [range, ...others] = this.open;
    if (!range) throw new Error('no number is open');
    const [first, last] = range;
    this.open = first === last ? others : [[first + 1, last], ...others];
    this.taken.set(first, 0);
    return first;
  }

  finish(number: number): void {
    this.taken.delete(number);
    this.finished += 1;
  }

  /** Numbers that were over are open again; those that are open or running stay so. */
  reopen(ranges: readonly NumberRange[]): void {
    for (const [first, last] of ranges) {
      for (let number = first; number <= Math.min(last, this.known); number += 1) {
        if (this.taken.has(number) || this.open.some(([from, to]) => from <= number && number <= to)) continue;
        this.finished -= 1;
        this.giveBack(number);
      }
    }
  }

  /** A number that was running is open again. */
  giveBack(number: number): void {
    this.taken.delete(number);
    this.open = [...this.open, [number, number] as const].sort(([a], [b]) => a - b);
  }

  /**
   * A number that was running is not there, nor is any above it: it was announced too early, or wrongly. Forgotten until it is
   * announced again; where that has happened since it was taken, it is open again.
   */
  withdraw(number: number): void {
    if ((this.taken.get(number) ?? 0) >= number) {
      this.giveBack(number);
      return;
    }
    this.taken.delete(number);
    this.known = Math.min(this.known, number - 1);
    this.open = this.open
      .filter(([first]) => first < number)
      .map(([first, last]) => [first, Math.min(last, number - 1)] as const);
  }

  ranges(): readonly NumberRange[] {
    return this.open;
  }
}
