import { X509Certificate } from 'node:crypto';

import { InvalidValue } from '../repositories/errors';

/** Characters, and certificates: far more than a distribution has authorities. */
const longestBundle = 65_536;
const mostAuthorities = 32;

const pemBlocks = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g;

/** The certificates of a PEM bundle; text around them is left out. Throws what `node:crypto` does where one cannot be read. */
export function readCertificates(pem: string): X509Certificate[] {
  return (pem.match(pemBlocks) ?? []).map((block) => new X509Certificate(block));
}

/**
 * Checks the authorities whose clients may read a distribution.
 *
 * @returns their certificates in PEM form, and nothing else that the bundle had.
 * @throws {@link InvalidValue}
 */
export function checkClientAuthorities(bundle: string): string {
  if (bundle.length > longestBundle) throw invalid(`it is longer than ${longestBundle} characters`);
  if (bundle.includes('PRIVATE KEY-----')) throw invalid('it has a private key, which nobody but its owner may have');
  const certificates = readable(bundle);
  if (certificates.length === 0) throw invalid('it has no certificate');
  if (certificates.length > mostAuthorities) throw invalid(`it has more than ${mostAuthorities} certificates`);
  const other = certificates.find(({ ca }) => !ca);
  if (other) {
    throw invalid(`"${subjectOf(other)}" is not the certificate of an authority (its basic constraints lack CA:TRUE)`);
  }
  return certificates.map((certificate) => certificate.toString()).join('');
}

/** Who a certificate is of, on one line. */
export function subjectOf({ subject, fingerprint256 }: X509Certificate): string {
  return subject ? subject.replaceAll('\n', ', ').slice(0, 500) : fingerprint256;
}

function readable(bundle: string): X509Certificate[] {
  try {
    return readCertificates(bundle);
  } catch {
    throw invalid('it has a certificate that cannot be read');
  }
}

function invalid(fault: string): InvalidValue {
  const expected = 'certificates of authorities in PEM form (-----BEGIN CERTIFICATE-----)';
  return new InvalidValue('client ca', `${fault}; expected ${expected}.`, { expected });
}
