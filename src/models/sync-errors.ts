import { PenstockError } from '../errors';

/** No repository has this name. */
export class RepositoryNotFound extends PenstockError {
  constructor(repository: string) {
    super(`There is no repository "${repository}". "penstock repository list" shows those that there are.`, {
      repository,
    });
  }
}

/** The repository cannot be synced as it is set up: it has no remote, or one of another type. */
export class CannotSync extends PenstockError {}

/** The sync ended with artifacts or contents that could not be had; everything else is saved. */
export class SyncIncomplete extends PenstockError {
  constructor(
    message: string,
    details: ConstructorParameters<typeof PenstockError>[1],
    override readonly transient: boolean,
  ) {
    super(message, details);
  }
}

/** The version that the sync has made would break a rule of its repository. */
export class InvalidVersion extends PenstockError {}

/** The remote's url or policy was changed while it was synced. */
export class RemoteChanged extends PenstockError {
  override readonly transient = true;

  constructor(remote: string) {
    super(
      `The url or the policy of remote "${remote}" was changed while it was synced. Sync again: that begins anew with the remote as it is now, and finds all that is saved.`,
      { remote },
    );
  }
}
