import type { IncomingMessage } from 'node:http';

import { digestOfToken } from '../distributions/tokens';
import type { Queryable } from '../models/database';
import type { Guard } from '../models/distribution-models';
import { ClientAuthorities, clientCertificates } from './client-certificates';

/** Why a request is not answered. */
export interface Refusal {
  readonly status: 401 | 403;
  readonly headers: Readonly<Record<string, string>>;
  readonly message: string;
}

/** What a distribution asks of its readers. */
export interface GuardedDistribution {
  readonly id: string;
  readonly guard: Guard | null;
  /** PEM. */
  readonly clientCa: string | null;
}

/** Lets those read a distribution who may. Every request is looked at anew: what was removed or has expired ends at once. */
export class Guards {
  private readonly authorities = new ClientAuthorities();
  private gathering: { readonly digests: Set<string>; readonly found: Promise<ReadonlySet<string>> } | undefined;

  /** @param options - `trustProxy`: certificates come from the proxy in front, in a header, and never from the connection */
  constructor(
    private readonly pool: Queryable,
    private readonly options: { readonly trustProxy: boolean },
  ) {}

  /**
   * @returns undefined where the request may be answered.
   * @throws what the database does where it does not answer: then nobody knows, and the request is not answered.
   */
  async check(distribution: GuardedDistribution, request: IncomingMessage): Promise<Refusal | undefined> {
    if (distribution.guard === 'token') return this.checkToken(distribution, request);
    if (distribution.guard === 'certificate') return this.checkCertificate(distribution, request);
    return undefined;
  }

  private async checkToken({ id }: GuardedDistribution, request: IncomingMessage): Promise<Refusal | undefined> {
    const given = givenToken(request.headers.authorization);
    if (given === undefined) {
      return unauthorized(
        'A token is needed: send it as "Authorization: Bearer TOKEN", or as the password of Basic, with any user name.',
      );
    }
    const digest = digestOfToken(given);
    if (digest !== undefined && (await this.lookUp(digest)).has(`${id} ${digest}`)) return undefined;
    return unauthorized(
      'The token is not one for this, has expired, or was removed. Ask who runs this server for another.',
    );
  }

  private checkCertificate({ clientCa }: GuardedDistribution, request: IncomingMessage): Refusal | undefined {
    const shown = clientCertificates(request, this.options);
    const fault = typeof shown === 'string' ? shown : this.authorities.faultOf(shown, clientCa ?? '');
    return fault === undefined
      ? undefined
      : { status: 403, headers: {}, message: `A client certificate is needed that may read this: ${fault}.` };
  }

  /** Requests that come together share a query, which begins after the last of them has come. */
  private lookUp(digest: string): Promise<ReadonlySet<string>> {
    if (!this.gathering) {
      const digests = new Set<string>();
      const found = new Promise((resolve) => setImmediate(resolve)).then(() => {
        this.gathering = undefined;
        return this.query([...digests]);
      });
      this.gathering = { digests, found };
    }
    this.gathering.digests.add(digest);
    return this.gathering.found;
  }

  private async query(digests: readonly string[]): Promise<ReadonlySet<string>> {
    const { rows } = await this.pool.query<{ key: string }>(
      `select distribution_id || ' ' || sha256 as key from distribution_tokens
        where sha256 = any($1::text[]) and (expires_at is null or expires_at > now())`,
      [digests],
    );
    return new Set(rows.map(({ key }) => key));
  }
}

/** RFC 6750, 2.1, and RFC 7617, 2: the name of the user is not looked at, as package managers insist on one. */
function givenToken(authorization = ''): string | undefined {
  const [, scheme = '', credentials = ''] = /^(Bearer|Basic) +([A-Za-z0-9._~+/=-]{1,2000})$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return credentials;
  const decoded = Buffer.from(credentials, 'base64').toString();
  return decoded.includes(':') ? decoded.slice(decoded.indexOf(':') + 1) : undefined;
}

/** Basic first: some clients look only at the first challenge of a header. */
function unauthorized(message: string): Refusal {
  const challenges = 'Basic realm="Penstock", charset="UTF-8", Bearer realm="Penstock"';
  return { status: 401, headers: { 'www-authenticate': challenges }, message };
}
