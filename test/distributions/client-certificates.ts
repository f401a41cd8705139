import { generate } from 'selfsigned';

/** PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

interface Wanted {
  readonly ca?: KeyPair;
  readonly isCa?: boolean;
  /** Absent: the extension is. */
  readonly usage?: 'clientAuth' | 'serverAuth';
  /** Days from now. */
  readonly from?: number;
  readonly to?: number;
}

/** An authority, its intermediate, and certificates that are good and bad. */
export async function makeClientCertificates() {
  const root = await make('root', { isCa: true });
  const intermediate = await make('intermediate', { ca: root, isCa: true });
  const foreignRoot = await make('root', { isCa: true });
  const noAuthority = await make('no authority', { ca: root });
  const oldAuthority = await make('old authority', { ca: root, isCa: true, from: -10, to: -1 });
  const serverAuthority = await make('server authority', { ca: root, isCa: true, usage: 'serverAuth' });
  return {
    ...{ root, intermediate, foreignRoot },
    server: await make('127.0.0.1', { ca: root, usage: 'serverAuth' }),
    good: {
      plain: await make('plain', { ca: root }),
      forClients: await make('for clients', { ca: root, usage: 'clientAuth' }),
      byIntermediate: chain(await make('by intermediate', { ca: intermediate }), intermediate),
    },
    bad: {
      expired: await make('expired', { ca: root, from: -10, to: -1 }),
      notYetValid: await make('not yet valid', { ca: root, from: 1, to: 10 }),
      forServers: await make('for servers', { ca: root, usage: 'serverAuth' }),
      selfSigned: await make('plain', {}),
      // Of an authority of the same name, and shown together with it.
      foreign: chain(await make('foreign', { ca: foreignRoot }), foreignRoot),
      withoutIntermediate: await make('by intermediate', { ca: intermediate }),
      byNoAuthority: chain(await make('by no authority', { ca: noAuthority }), noAuthority),
      byOldAuthority: chain(await make('by an old authority', { ca: oldAuthority }), oldAuthority),
      byServerAuthority: chain(await make('by a server authority', { ca: serverAuthority }), serverAuthority),
    },
  };
}

function chain({ cert, key }: KeyPair, above: KeyPair): KeyPair {
  return { cert: `${cert.trimEnd()}\n${above.cert}`, key };
}

async function make(name: string, { ca, isCa = false, usage, from = -1, to = 30 }: Wanted): Promise<KeyPair> {
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() + from * 86_400_000),
    notAfterDate: new Date(Date.now() + to * 86_400_000),
    extensions: [
      { name: 'basicConstraints', cA: isCa, critical: true },
      ...(isCa ? [{ name: 'keyUsage' as const, keyCertSign: true, critical: true }] : []),
      ...(usage ? [{ name: 'extKeyUsage' as const, [usage]: true }] : []),
    ],
    ...(ca ? { ca } : {}),
  });
  return { cert: made.cert, key: made.private };
}
