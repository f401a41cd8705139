import { generate } from 'selfsigned';

/** PEM. */
interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** An authority, and what it has signed. */
export interface Certificates {
  readonly ca: KeyPair;
  /** For 127.0.0.1. */
  readonly server: KeyPair;
  /** For a host of another name. */
  readonly otherHost: KeyPair;
  /** For 127.0.0.1, until yesterday. */
  readonly expired: KeyPair;
  /** For 127.0.0.1, signed by nobody else. */
  readonly selfSigned: KeyPair;
  readonly client: KeyPair;
}

export async function makeCertificates(): Promise<Certificates> {
  const loopback = [{ type: 7 as const, ip: '127.0.0.1' }];
  const ca = await make('penstock test authority', { cA: true });
  return {
    ca,
    server: await make('penstock server', { ca, altNames: loopback }),
    otherHost: await make('elsewhere', { ca, altNames: [{ type: 2, value: 'elsewhere.example' }] }),
    expired: await make('penstock server', { ca, altNames: loopback, lastDay: new Date(Date.now() - 86_400_000) }),
    selfSigned: await make('penstock server', { altNames: loopback }),
    client: await make('penstock client', { ca }),
  };
}

interface Wanted {
  readonly ca?: KeyPair;
  readonly cA?: boolean;
  readonly altNames?: { type: 2 | 7; value?: string; ip?: string }[];
  readonly lastDay?: Date;
}

async function make(name: string, { ca, cA = false, altNames, lastDay }: Wanted): Promise<KeyPair> {
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA, critical: true },
      ...(cA ? [{ name: 'keyUsage' as const, keyCertSign: true, cRLSign: true, critical: true }] : []),
      ...(altNames ? [{ name: 'subjectAltName' as const, altNames }] : []),
    ],
    ...(ca ? { ca } : {}),
    ...(lastDay ? { notBeforeDate: new Date(lastDay.getTime() - 86_400_000), notAfterDate: lastDay } : {}),
  });
  return { cert: made.cert, key: made.private };
}
