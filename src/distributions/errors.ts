import { PenstockError } from '../errors';
import { quoted } from '../syncs/errors';

/** No distribution has this name. */
export class DistributionNotFound extends PenstockError {
  constructor(distribution: string) {
    super(`There is no distribution "${distribution}". "penstock distribution list" shows those that there are.`, {
      distribution,
    });
  }
}

/** Of two base paths one is the other or lies below it, so that a url would belong to two distributions. */
export class OverlappingBasePaths extends PenstockError {
  constructor(basePath: string, other: { readonly name: string; readonly basePath: string }) {
    const how =
      basePath === other.basePath
        ? 'is that'
        : `lies ${basePath.length > other.basePath.length ? 'below' : 'above'} "${other.basePath}", the base path`;
    super(
      `The base path "${basePath}" ${how} of distribution "${other.name}". Take another one, or move that distribution: penstock distribution update ${quoted(other.name)} --base-path PATH`,
      { path: basePath, distribution: other.name, found: other.basePath },
    );
  }
}

/** The distribution has no token of this name. */
export class TokenNotFound extends PenstockError {
  constructor(distribution: string, token: string) {
    super(
      `Distribution "${distribution}" has no token "${token}". "penstock distribution token list ${quoted(distribution)}" shows those that there are.`,
      { distribution, found: token },
    );
  }
}

/** The distribution has a token of this name, which cannot be shown again. */
export class TokenAlreadyExists extends PenstockError {
  constructor(distribution: string, token: string) {
    super(
      `Distribution "${distribution}" has a token "${token}" already. Take another name, or remove that one first: penstock distribution token remove ${quoted(distribution)} ${quoted(token)}`,
      { distribution, found: token },
    );
  }
}
