import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

import { LRUCache } from 'lru-cache';

import { readCertificates } from '../distributions/client-authorities';

/** Characters of the header; TLS bounds what a connection has shown. */
const longestHeader = 16_384;
/** Certificates between that of a client and an authority, as OpenSSL's own handshake of a client rarely needs two. */
const mostIntermediates = 8;

const clientAuthentication = '1.3.6.1.5.5.7.3.2';

/** The certificate of a client, and after it those that it has sent to prove it. */
export type ShownCertificates = readonly [X509Certificate, ...X509Certificate[]];

/**
 * The certificates that the client of a request has shown, or what is wrong with them. Of those on its connection the client has
 * the key, as TLS has made sure; of one in the header the proxy has to say so.
 */
export function clientCertificates(
  request: IncomingMessage,
  { trustProxy }: { readonly trustProxy: boolean },
): ShownCertificates | string {
  try {
    return (trustProxy ? fromHeader(request) : fromConnection(request)) ?? 'none was shown';
  } catch {
    return 'the one that was shown cannot be read';
  }
}

function fromConnection({ socket }: IncomingMessage): ShownCertificates | undefined {
  const leaf = 'getPeerX509Certificate' in socket ? (socket as TLSSocket).getPeerX509Certificate() : undefined;
  if (!leaf) return undefined;
  const shown: [X509Certificate, ...X509Certificate[]] = [leaf];
  for (let next = leaf.issuerCertificate; next && shown.length <= mostIntermediates; next = next.issuerCertificate) {
    shown.push(next);
  }
  return shown;
}

/** As nginx escapes it (`$ssl_client_escaped_cert`). A second one, or anything around it, is not from a proxy that sets the header. */
function fromHeader({ headers }: IncomingMessage): ShownCertificates | undefined {
  const header = headers['x-client-cert'] ?? '';
  if (header === '') return undefined;
  if (Array.isArray(header) || header.length > longestHeader) throw new Error('more than a certificate');
  const pem = decodeURIComponent(header).trim();
  const [leaf, ...others] = readCertificates(pem);
  if (!leaf || others.length > 0 || !/^-----BEGIN[^,]*-----$/.test(pem)) throw new Error('not a certificate alone');
  return [leaf];
}

/**
 * Whether authorities vouch for clients. `node:crypto` checks names, key usage and signatures; of path lengths, name constraints
 * and revocations it tells nothing.
 */
export class ClientAuthorities {
  /** By their PEM, which is 64 KiB at most. */
  private readonly parsed = new LRUCache<string, readonly X509Certificate[]>({ max: 100 });

  /**
   * @param clientCa - PEM: the authorities
   * @returns what is wrong; undefined where one of them, or an intermediate that one of them has signed, has signed the first.
   */
  faultOf([leaf, ...intermediates]: ShownCertificates, clientCa: string): string | undefined {
    const now = Date.now();
    if (!isValidAt(leaf, now)) return `the one that was shown is valid from ${leaf.validFrom} to ${leaf.validTo}`;
    if (!isForClients(leaf)) return 'the one that was shown is not for the authentication of clients';
    const authorities = this.parse(clientCa);
    const usable = (issuer: X509Certificate) => issuer.ca && isValidAt(issuer, now) && isForClients(issuer);
    let certificate = leaf;
    for (let depth = 0; depth <= mostIntermediates; depth += 1) {
      const issued = (issuer: X509Certificate) => usable(issuer) && isIssuedBy(certificate, issuer);
      if (authorities.some(issued)) return undefined;
      const next = intermediates.find(issued);
      if (!next) break;
      certificate = next;
    }
    return 'no authority that may vouch for clients here has signed the one that was shown';
  }

  private parse(clientCa: string): readonly X509Certificate[] {
    const known = this.parsed.get(clientCa) ?? readCertificates(clientCa);
    this.parsed.set(clientCa, known);
    return known;
  }
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** What is no date is never valid. */
function isValidAt({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

/** RFC 5280, 4.2.1.12. Without the extension a certificate is for everything; in that of an authority it bounds what it signs. */
function isForClients({ keyUsage }: X509Certificate): boolean {
  // Node names the extended key usage so, and its types do not know that it may be absent.
  return (keyUsage as string[] | undefined)?.includes(clientAuthentication) ?? true;
}
