import { InvalidArgumentError } from 'commander';

/** A time as it was written, and in seconds. */
export interface Duration {
  readonly text: string;
  readonly seconds: number;
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, '': 1 };

/** Reads a time from the command line; a bare number is seconds. */
export function duration(text: string): Duration {
  const [, value = '', unit = ''] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (value === '') throw new InvalidArgumentError('Expected a time such as 90s, 30m, 24h or 7d.');
  return { text, seconds: Number(value) * (secondsOf[unit] ?? 1) };
}
