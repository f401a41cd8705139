import { BodyDownload, type BodyContext } from './body-download';
import type { BodyPart } from './resuming';
import { tryUrls, type RetryContext } from './retries';

/**
 * Downloads a part of a file into what the context's `storage` begins. Only its length can be found right: digests are of whole
 * files.
 *
 * @param urls - tried in this order
 * @throws {@link DownloadFailed} where it could be had from no url
 * @throws {@link PartsNotServed}, the signal's reason
 */
export async function downloadPart(
  urls: readonly string[],
  part: BodyPart,
  context: BodyContext & RetryContext,
): Promise<void> {
  const declared = { digests: {}, size: part.end - part.start + 1 };
  const keyOf = () => 'part';
  await tryUrls(urls, context, (url) => new BodyDownload(url, declared, keyOf, context, undefined, part));
}
