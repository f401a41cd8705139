import { PenstockError } from '../errors';
import { quoted } from '../syncs/errors';

/** A value that a user gave for a field cannot be used; nothing was changed. */
export class InvalidValue extends PenstockError {
  constructor(
    readonly field: string,
    what: string,
    { expected, found }: { readonly expected?: string; readonly found?: string } = {},
  ) {
    super(`${field}: ${what}`, {
      field,
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
    });
  }
}

/** No remote has this name. */
export class RemoteNotFound extends PenstockError {
  constructor(remote: string) {
    super(`There is no remote "${remote}". "penstock remote list" shows those that there are.`, { remote });
  }
}

/** A remote, a repository or a distribution with this name is there already. */
export class AlreadyExists extends PenstockError {
  constructor(kind: 'remote' | 'repository' | 'distribution', name: string) {
    super(`There is a ${kind} "${name}" already. "penstock ${kind} update ${name}" changes it.`, { [kind]: name });
  }
}

/** What is to be deleted or changed is in use. */
export class InUse extends PenstockError {}

/** The repository has no complete version with this number. */
export class VersionNotFound extends PenstockError {
  constructor(repository: string, number: number, why = '') {
    super(
      `Repository "${repository}" has no complete version ${number}${why}. "penstock version list ${repository}" shows those that there are.`,
      { repository, found: String(number) },
    );
  }
}

/** The version is the last complete one of its repository, which always has one. */
export class LastVersion extends PenstockError {
  constructor(repository: string, number: number) {
    super(
      `Version ${number} is the last complete one of repository "${repository}" and cannot be deleted. "penstock repository delete ${quoted(repository)}" deletes the repository.`,
      { repository, found: String(number) },
    );
  }
}

/** What cannot be done while a sync has begun a version and not completed it. */
export class IncompleteVersion extends PenstockError {
  /** @param what the sentence that says what cannot be done, and why. */
  constructor(repository: string, incomplete: number, what: string) {
    const name = quoted(repository);
    super(
      [what, `Finish that version:  penstock sync ${name}`, `Throw it away:        penstock sync discard ${name}`].join(
        '\n',
      ),
      { repository, found: String(incomplete) },
    );
  }
}

/** No content has this id. */
export class ContentNotFound extends PenstockError {
  constructor(id: string) {
    super(`There is no content ${id}. "penstock content list REPOSITORY" shows ids.`, { found: id });
  }
}
