import { PenstockError } from '../errors';

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

/** A remote or a repository with this name is there already. */
export class AlreadyExists extends PenstockError {
  constructor(kind: 'remote' | 'repository', name: string) {
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

/** No content has this id. */
export class ContentNotFound extends PenstockError {
  constructor(id: string) {
    super(`There is no content ${id}. "penstock content list REPOSITORY" shows ids.`, { found: id });
  }
}
