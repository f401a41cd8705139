import { S3Client } from '@aws-sdk/client-s3';

import type { S3Place } from './storage-place';

/** Milliseconds for a connection, for the first byte of an answer, and between two bytes. */
const patience = { connection: 10_000, answer: 120_000, silence: 60_000 };

/** Attempts of one request, with waits that double: some seconds in all. Who called tries again later, and for longer. */
const attempts = 5;

/**
 * Sockets at most: more than there are downloads and lanes in a process, as a request that waits for one is as good as one that
 * gets no connection; and readers hold theirs for as long as they read.
 */
const sockets = { keepAlive: true, maxSockets: 1024 };

/** Region, credentials and the address of an own store come from the SDK's own environment and configuration files. */
export function connectS3({ pathStyle }: S3Place): S3Client {
  return new S3Client({
    forcePathStyle: pathStyle,
    maxAttempts: attempts,
    // Where bytes matter, they are compared with an artifact's own digests: a file that is not as it was can be told, and set aside.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: patience.connection,
      requestTimeout: patience.answer,
      throwOnRequestTimeout: true,
      socketTimeout: patience.silence,
      httpAgent: sockets,
      httpsAgent: sockets,
    },
  });
}
