import { asError } from '../errors';
import {
  BucketMissing,
  CredentialsRefused,
  StorageAccessDenied,
  StorageRefused,
  StorageUnreachable,
  WrongRegion,
} from './storage-error';
import { StorageFull } from './storage-full';
import type { S3Place } from './storage-place';
import { describePlace } from './storage-place';

/** What the SDK throws: an answer of the store, or a lost connection. */
interface SdkError extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** Names that say that no more can be stored: of AWS's neighbours, MinIO, Ceph and versitygw. */
const fullNames: ReadonlySet<string> = new Set([
  ...['QuotaExceeded', 'NoSpaceLeftOnDevice', 'InsufficientStorage', 'ServiceQuotaExceeded', 'StorageFull'],
  ...['XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'XMinioBucketQuotaExceeded'],
]);

const regionNames: ReadonlySet<string> = new Set([
  ...['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'],
]);

const credentialNames: ReadonlySet<string> = new Set([
  ...['CredentialsProviderError', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'ExpiredToken'],
  ...['ExpiredTokenException', 'TokenRefreshRequired', 'RequestTimeTooSkewed', 'UnrecognizedClientException'],
]);

/** Names of what another attempt may get over, where the status does not say so. */
const busyNames: ReadonlySet<string> = new Set([
  ...['SlowDown', 'Throttling', 'ThrottlingException', 'RequestTimeout', 'TimeoutError', 'BadDigest', 'NoSuchUpload'],
  ...['OperationAborted', 'ConditionalRequestConflict', 'IncompleteBody', 'RequestLimitExceeded'],
]);

/** What says that there is no connection, or that it broke: in the code, or in the message where the SDK has wrapped it. */
const lost =
  /\b(?:E(?:CONN(?:REFUSED|RESET)|PIPE|TIMEDOUT|(?:HOST|NET)UNREACH|NOTFOUND|AI_AGAIN)|ERR_STREAM_PREMATURE_CLOSE|socket hang up)\b/;

/** Whether an error says that nothing lies under a key. A HEAD has no body, and so no more than its status. */
export function isMissingObject(thrown: unknown): boolean {
  const { name } = asError(thrown);
  return name === 'NoSuchKey' || name === 'NotFound';
}

/** Whether a condition did not hold. */
export function isPreconditionFailed(thrown: unknown): boolean {
  return statusOf(asError(thrown)) === 412;
}

/**
 * The error of {@link StorageError} that the SDK's one means; anything else stays what it is. No message and no cause holds
 * credentials: where those were the matter, the SDK's error is left behind.
 */
export function asS3Error(thrown: unknown, place: S3Place): unknown {
  const error: SdkError = asError(thrown);
  const status = statusOf(error);
  const where = describePlace(place);
  const details = { found: error.name, ...(status === undefined ? {} : { status }) };
  const says = `${error.name}${status === undefined ? '' : ` (${status})`}: ${error.message}`;
  if (status === 507 || fullNames.has(error.name))
    return new StorageFull(
      `${where} takes no more bytes: ${says}. Free space there or raise its quota: what was stored is kept.`,
      details,
      { cause: error },
    );
  if (error.name === 'NoSuchBucket') return bucketMissing(place);
  if (status === 301 || regionNames.has(error.name) || error.message === 'Region is missing')
    return new WrongRegion(
      `The bucket of ${where} is not in the region that was asked (${says}): set AWS_REGION to the region that it is in.`,
      details,
    );
  if (credentialNames.has(error.name))
    return new CredentialsRefused(
      `The credentials for ${where} are missing, wrong or expired (${error.name}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or the role of the machine, and look whether its clock is right.`,
      details,
    );
  if (status === 401 || status === 403)
    return new StorageAccessDenied(
      `The credentials do not allow what has to be done in ${where} (${says}): grant s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload, as docs/object-storage.md says.`,
      details,
    );
  if (isBusy(error, status))
    return new StorageUnreachable(
      `The object storage ${where} does not answer as it should (${says}). What needs it is tried again; if that lasts, look at AWS_ENDPOINT_URL_S3 and at the store.`,
      details,
      { cause: error },
    );
  if (status === undefined) return thrown;
  return new StorageRefused(
    `The object storage ${where} refused a request: ${says}. Look whether it is an S3-compatible store, and what its log says.`,
    details,
    { cause: error },
  );
}

export function bucketMissing({ bucket }: S3Place): BucketMissing {
  return new BucketMissing(
    `There is no bucket "${bucket}", which PENSTOCK_STORAGE names: create it, or set PENSTOCK_STORAGE to the one that there is.`,
    { expected: bucket },
  );
}

function statusOf(error: SdkError): number | undefined {
  return error.$metadata?.httpStatusCode;
}

function isBusy(error: SdkError, status: number | undefined): boolean {
  if (status !== undefined && (status >= 500 || status === 429 || status === 408)) return true;
  return busyNames.has(error.name) || (status === undefined && lost.test(`${error.code ?? ''} ${error.message}`));
}
