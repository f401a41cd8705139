import { PenstockError } from '../errors';

/** The storage as a whole does not do what it is for: a matter of no single file. */
export abstract class StorageError extends PenstockError {}

/** The storage does not answer, or is too busy: what needs it is tried again until it does. */
export class StorageUnreachable extends StorageError {
  override readonly transient = true;
}

/** The bucket that `PENSTOCK_STORAGE` names is not there. */
export class BucketMissing extends StorageError {}

/** The bucket lies in another region than the one that is asked, or none is known. */
export class WrongRegion extends StorageError {}

/** There are no credentials, or the store does not know them, or no longer. */
export class CredentialsRefused extends StorageError {}

/** The credentials do not allow what Penstock has to do. */
export class StorageAccessDenied extends StorageError {}

/** The store refuses what Penstock has to do for another reason, which its message says. */
export class StorageRefused extends StorageError {}
