import { PenstockError } from '../errors';
import { quoted } from '../syncs/errors';

/** No alternate content source has this name. */
export class AlternateNotFound extends PenstockError {
  constructor(name: string) {
    super(`There is no alternate content source "${name}". "penstock acs list" shows those that there are.`, {
      alternate: name,
    });
  }
}

/** An alternate content source with this name is there already. */
export class AlternateExists extends PenstockError {
  constructor(name: string) {
    super(`There is an alternate content source "${name}" already. "penstock acs update ${quoted(name)}" changes it.`, {
      alternate: name,
    });
  }
}

/** A refresh has failed; what its source was known to have stays in use. */
export class RefreshFailed extends PenstockError {
  override readonly transient: boolean;

  constructor(name: string, url: string, cause: PenstockError) {
    super(
      `Alternate content source "${name}" could not be refreshed from ${url}: ${cause.message} What it was known to have stays in use. To try again: penstock acs refresh ${quoted(name)}`,
      { ...cause.details, alternate: name },
      { cause },
    );
    this.transient = cause.transient;
  }
}
