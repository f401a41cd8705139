import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3';

import { inLanes } from '../lanes';
import { isMissingObject, isPreconditionFailed } from './s3-errors';

/** How large a copy by one request may be: S3 copies up to 5 GiB so, and some stores answer only when all is copied. */
export interface CopyLimits {
  /** Bytes of an object that is copied by one request. */
  readonly whole: number;
  /** Bytes of each part of a larger one. */
  readonly part: number;
}

export const standardCopyLimits: CopyLimits = { whole: 1024 ** 3, part: 512 * 1024 ** 2 };

/** Parts that are copied at once. */
const partsAtOnce = 4;

interface Source {
  readonly Bucket: string;
  readonly Key: string;
  readonly CopySource: string;
  readonly CopySourceIfMatch?: string;
}

/**
 * Copies an object inside the store, and then removes the first one, unless it is another one by then. Nothing there, or
 * no longer, is no error.
 *
 * @param from, to - the whole keys
 */
export async function moveObject(
  client: S3Client,
  Bucket: string,
  [from, to]: readonly [from: string, to: string],
  limits: CopyLimits = standardCopyLimits,
): Promise<void> {
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: from })).catch(ignoreGone);
  if (!head) return;
  const { ContentLength: size = 0, ETag } = head;
  const source: Source = {
    ...{ Bucket, Key: to, CopySource: `${Bucket}/${encodeURIComponent(from)}` },
    ...(ETag ? { CopySourceIfMatch: ETag } : {}),
  };
  const copied = await (
    size > limits.whole ? copyInParts(client, source, size, limits.part) : client.send(new CopyObjectCommand(source))
  ).catch(ignoreGone);
  if (!copied) return;
  const condition = ETag ? { IfMatch: ETag } : {};
  await client.send(new DeleteObjectCommand({ Bucket, Key: from, ...condition })).catch(ignoreGone);
}

async function copyInParts(client: S3Client, source: Source, size: number, partBytes: number): Promise<true> {
  const { Bucket, Key } = source;
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  try {
    const parts: CompletedPart[] = Array.from({ length: Math.ceil(size / partBytes) }, () => ({}));
    await inLanes(parts.keys(), partsAtOnce, async (index) => {
      const [start, end] = [index * partBytes, Math.min(size, (index + 1) * partBytes) - 1];
      const PartNumber = index + 1;
      const range = { PartNumber, UploadId, CopySourceRange: `bytes=${start}-${end}` };
      const { CopyPartResult } = await client.send(new UploadPartCopyCommand({ ...source, ...range }));
      parts[index] = { ...CopyPartResult, PartNumber };
    });
    await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts: parts } }));
    return true;
  } catch (error) {
    // What remains where this fails too, the bucket's lifecycle rule removes.
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => undefined);
    throw error;
  }
}

/** Somebody was faster: it is gone, or another one. */
function ignoreGone(error: unknown): undefined {
  if (!isMissingObject(error) && !isPreconditionFailed(error)) throw error;
}
