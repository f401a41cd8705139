import type { ErrorDetails } from '../errors';
import { PenstockError } from '../errors';

/** Upstream's metadata cannot be used as it is: which file, which line, what was expected and found. */
export class InvalidMetadata extends PenstockError {
  constructor(what: string, details: ErrorDetails & { readonly url: string }) {
    const where = details.line === undefined ? details.url : `${details.url}, line ${details.line}`;
    super(`${where}: ${what}`, details);
  }
}
