import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { makeCertificates } from '../../../downloads/certificates';
import type { Round } from '../round';
import { said, unexpected } from '../round';
import type { Upstream } from '../upstream';
import type { Scenario } from './scenario';

/** A certificate is wrong, from the start or from the middle on: the error names it, and the sync goes on once it is right. */
export const tls: readonly Scenario[] = [{ name: 'upstream-shows-a-wrong-certificate', run: showWrongCertificate }];

async function showWrongCertificate(round: Round): Promise<void> {
  const { random, installation } = round;
  const { ca, server, otherHost, expired, selfSigned } = await makeCertificates();
  const [atFirst, later] = random.shuffled([
    { pair: selfSigned, why: /self-signed certificate/ },
    { pair: otherHost, why: /does not match certificate's altnames/ },
    { pair: expired, why: /certificate has expired/ },
  ]);
  if (!atFirst || !later) throw new Error('there are three');
  const authority = join(installation.penstock.settings.dataDir, 'authority.pem');
  await writeFile(authority, ca.cert);
  const files = round.makeFiles(random.int(200, 400));
  const upstream = await round.addUpstream(files, atFirst.pair);
  const repository = round.named('files');

  const args = round.remote(upstream, '--ca-cert', authority, '--max-retries', '1');
  await requireRefused(round, repository, atFirst.why, upstream, args);
  upstream.showCertificate(server);
  upstream.delay = 20;
  const turn = random.int(10, files.size - 100);
  let turned = false;
  upstream.misbehave = () => {
    if (upstream.served < turn || turned) return undefined;
    turned = true;
    upstream.showCertificate(later.pair);
    return undefined;
  };
  await requireRefused(round, repository, later.why, upstream, []);
  upstream.misbehave = () => undefined;
  upstream.showCertificate(server);
  await round.sync(repository);
  await round.requireWhole(repository, files, { upstream, strikes: 1 });
}

async function requireRefused(
  round: Round,
  repository: string,
  why: RegExp,
  upstream: Upstream,
  args: readonly string[],
): Promise<void> {
  const ended = await round.trySync(repository, { args });
  const named = said(ended).includes('TLS') && said(ended).includes(new URL(upstream.url).host);
  if (ended.status !== 1 || !named || !why.test(said(ended))) {
    throw unexpected(`A sync that has to fail by ${why.source}`, ended);
  }
}
