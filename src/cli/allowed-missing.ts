import { InvalidArgumentError } from 'commander';

import type { AllowedMissing } from '../models/sync-models';

/** Reads how much of a version may be missing: `3` contents, or `5%` of what upstream declares. */
export function readAllowedMissing(text: string): AllowedMissing {
  const [, number = '', percent] = /^(\d{1,9}(?:\.\d{1,3})?)(%?)$/.exec(text) ?? [];
  const value = number === '' ? NaN : Number(number);
  if (percent === '%' && value <= 100) return { percent: value };
  if (percent === '' && Number.isInteger(value)) return { contents: value };
  throw new InvalidArgumentError('Expected a whole number of contents, as 3, or a part of all, as 5%.');
}
