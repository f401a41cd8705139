import { createHash, randomBytes } from 'node:crypto';

import { UniqueConstraintError } from 'sequelize';

import { DistributionToken } from '../models/distribution-models';
import { InvalidValue } from '../repositories/errors';
import { checkName } from '../repositories/names';
import { findDistribution } from './distributions';
import { TokenAlreadyExists, TokenNotFound } from './errors';

/** A token as it is shown: never the token itself. */
export interface TokenView {
  readonly name: string;
  readonly createdAt: Date;
  /** Null: never. */
  readonly expiresAt: Date | null;
  readonly expired: boolean;
}

/** What every token begins with: who finds one in a log or in a repository of sources knows what it is, as scanners do. */
const prefix = 'penstock_';
const form = new RegExp(`^${prefix}[A-Za-z0-9_-]{43}$`);

/** Seconds. */
const longestLife = 100 * 366 * 86_400;

/** The digest that a token is known by, in hex; undefined where it has not the form of a token. */
export function digestOfToken(token: string): string | undefined {
  // A fast digest: nobody finds 256 random bits by trying.
  return form.test(token) ? createHash('sha256').update(token).digest('hex') : undefined;
}

/**
 * Makes a token for a distribution.
 *
 * @param lifetime - seconds; absent: it never expires
 * @returns the token, which is stored nowhere.
 * @throws {@link DistributionNotFound}, {@link InvalidValue}, {@link TokenAlreadyExists}
 */
export async function addToken(
  distribution: string,
  name: string,
  lifetime?: number,
): Promise<TokenView & { readonly token: string }> {
  checkName('token', name);
  if (lifetime !== undefined && !(lifetime > 0 && lifetime <= longestLife)) {
    throw new InvalidValue(
      'lifetime of a token',
      `expected more than nothing, and 100 years at most; found ${lifetime} s.`,
    );
  }
  const { id } = await findDistribution(distribution);
  const token = `${prefix}${randomBytes(32).toString('base64url')}`;
  try {
    const made = await DistributionToken.create({
      distributionId: id,
      name,
      sha256: digestOfToken(token) ?? '',
      expiresAt: lifetime === undefined ? null : new Date(Date.now() + lifetime * 1000),
    });
    return { token, ...view(made) };
  } catch (error) {
    if (error instanceof UniqueConstraintError) throw new TokenAlreadyExists(distribution, name);
    throw error;
  }
}

/** The tokens of a distribution, in the order of their names. @throws {@link DistributionNotFound} */
export async function listTokens(distribution: string): Promise<TokenView[]> {
  const { id } = await findDistribution(distribution);
  const tokens = await DistributionToken.findAll({ where: { distributionId: id }, order: ['name'] });
  return tokens.map(view);
}

/** Removes a token: the next request with it is refused. @throws {@link DistributionNotFound}, {@link TokenNotFound} */
export async function removeToken(distribution: string, name: string): Promise<void> {
  const { id } = await findDistribution(distribution);
  const removed = await DistributionToken.destroy({ where: { distributionId: id, name } });
  if (removed === 0) throw new TokenNotFound(distribution, name);
}

function view({ name, createdAt, expiresAt }: DistributionToken): TokenView {
  return { name, createdAt, expiresAt, expired: expiresAt !== null && expiresAt.getTime() <= Date.now() };
}
