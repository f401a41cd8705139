import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { OpenNumbers } from '../../workflows/open-numbers';

/** Takes and finishes all that is open. */
function finishAll(numbers: OpenNumbers): number[] {
  const taken: number[] = [];
  while (numbers.hasOpen) {
    const number = numbers.take();
    taken.push(number);
    numbers.finish(number);
  }
  return taken;
}

describe('open numbers', () => {
  it('gives each announced number once, the lowest first', () => {
    const numbers = new OpenNumbers();
    numbers.extendTo(2);
    numbers.extendTo(2);
    expect(numbers.take()).toBe(1);
    numbers.extendTo(1);
    numbers.extendTo(4);
    expect([numbers.take(), numbers.take(), numbers.take()]).toEqual([2, 3, 4]);
    expect(numbers.hasOpen).toBe(false);
    expect(numbers.running).toBe(4);
    expect(() => numbers.take()).toThrow('no number is open');
  });

  it('begins with what is not over', () => {
    const numbers = new OpenNumbers();
    numbers.begin(9, [
      [2, 3],
      [7, 7],
    ]);
    expect(numbers.finished).toBe(6);
    numbers.extendTo(10);
    expect(finishAll(numbers)).toEqual([2, 3, 7, 10]);
    expect(numbers.finished).toBe(10);
  });

  it('opens again, at its place, what is given back', () => {
    const numbers = new OpenNumbers();
    numbers.extendTo(3);
    numbers.take();
    numbers.giveBack(numbers.take());
    expect(numbers.ranges()).toEqual([
      [2, 2],
      [3, 3],
    ]);
    expect(numbers.running).toBe(1);
  });

  it('forgets what is not there, and all above it, until it is announced again', () => {
    const numbers = new OpenNumbers();
    numbers.extendTo(1_000_000);
    expect(numbers.take()).toBe(1);
    const absent = numbers.take();
    numbers.withdraw(absent);
    expect(numbers.hasOpen).toBe(false);
    numbers.finish(1);
    numbers.extendTo(3);
    expect(finishAll(numbers)).toEqual([2, 3]);
  });

  it('looks again at once for what was announced while it was looked for', () => {
    const numbers = new OpenNumbers();
    numbers.extendTo(5);
    const early = numbers.take();
    numbers.extendTo(2);
    numbers.withdraw(early);
    expect(numbers.take()).toBe(1);
  });

  it('does not start twice what runs above a number that was forgotten', () => {
    const numbers = new OpenNumbers();
    numbers.extendTo(4);
    const [first, second, third] = [numbers.take(), numbers.take(), numbers.take()];
    numbers.withdraw(second);
    numbers.extendTo(5);
    expect(numbers.ranges()).toEqual([
      [2, 2],
      [4, 5],
    ]);
    for (const number of [first, third]) numbers.finish(number);
    expect(finishAll(numbers)).toEqual([2, 4, 5]);
  });

  it('opens again what is over of the ranges that it is given, as far as they are known', () => {
    const numbers = new OpenNumbers();
    numbers.extendTo(5);
    const [first, second, third] = [numbers.take(), numbers.take(), numbers.take()];
    for (const number of [first, second]) numbers.finish(number);
    numbers.reopen([
      [1, 1],
      [3, 9],
    ]);
    expect(numbers).toMatchObject({ known: 5, finished: 1, running: 1, left: 4 });
    expect(numbers.ranges()).toEqual([
      [1, 1],
      [4, 5],
    ]);
    numbers.finish(third);
    expect(finishAll(numbers)).toEqual([1, 4, 5]);
    expect(numbers.finished).toBe(5);
  });

  it('gives every number exactly once, whatever the order and repetition of what announces them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 60 }), { maxLength: 40 }),
        fc.infiniteStream(fc.nat(4)),
        (announced, steps) => {
          const numbers = new OpenNumbers();
          const running: number[] = [];
          const given: number[] = [];
          for (const number of announced) {
            numbers.extendTo(number);
            const [step = 0] = steps.take(1);
            for (let index = 0; index < step && numbers.hasOpen; index += 1) running.push(numbers.take());
            const over = running.shift();
            if (over === undefined) continue;
            if (step === 4) {
              numbers.giveBack(over);
            } else {
              numbers.finish(over);
              given.push(over);
            }
          }
          for (const number of running) numbers.finish(number);
          given.push(...running, ...finishAll(numbers));
          const highest = Math.max(0, ...announced);
          expect(given.sort((a, b) => a - b)).toEqual(Array.from({ length: highest }, (_, index) => index + 1));
          expect(numbers).toMatchObject({ known: highest, finished: highest, running: 0 });
        },
      ),
    );
  });

  it('reaches every number that exists, whatever else is announced', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 100 }), { maxLength: 60 }),
        fc.nat(40),
        fc.infiniteStream(fc.nat(3)),
        (announced, last, steps) => {
          const numbers = new OpenNumbers();
          const done = new Set<number>();
          const running: number[] = [];
          let existing = 0;
          const end = (number: number) => {
            if (number > existing) {
              numbers.withdraw(number);
            } else {
              numbers.finish(number);
              done.add(number);
            }
          };
          for (const number of announced) {
            existing = Math.min(last, existing + 1);
            numbers.extendTo(number);
            const [step = 0] = steps.take(1);
            for (let index = 0; index < step && numbers.hasOpen; index += 1) running.push(numbers.take());
            const over = running.shift();
            if (over !== undefined) end(over);
          }
          // The result of a discovery comes at the end, and says the truth.
          existing = last;
          numbers.extendTo(last);
          while (running.length > 0 || numbers.hasOpen) {
            end(running.shift() ?? numbers.take());
          }
          expect([...done].sort((a, b) => a - b)).toEqual(Array.from({ length: last }, (_, index) => index + 1));
        },
      ),
    );
  });
});
