import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';

import { InvalidSetting, asError } from './errors';

/** Search attributes of a sync's workflow; all are keywords. */
export const searchAttributes = ['PenstockRepository', 'PenstockPlugin', 'PenstockPolicy', 'PenstockStage'] as const;

/** How Temporal is reached: what Temporal's own `envconfig` reads, or the embedded server's address. */
export interface TemporalTarget {
  /** `host:port` of the embedded server. */
  readonly embeddedAddress?: string | undefined;
}

/** A connection for what starts and looks at syncs. */
export async function connectClient(target: TemporalTarget = {}): Promise<Client> {
  const { connectionOptions, namespace } = connectConfig(target);
  const connection = await Connection.connect(connectionOptions).catch((error: unknown) => {
    throw unreachable(connectionOptions.address, error);
  });
  return new Client({ connection, ...(namespace === undefined ? {} : { namespace }) });
}

/** A connection for a worker. */
export async function connectWorker(
  target: TemporalTarget = {},
): Promise<{ connection: NativeConnection; namespace: string }> {
  const { connectionOptions, namespace = 'default' } = connectConfig(target);
  const connection = await NativeConnection.connect(connectionOptions).catch((error: unknown) => {
    throw unreachable(connectionOptions.address, error);
  });
  return { connection, namespace };
}

/** Registers the search attributes that a sync's workflow sets; those that are there already are left alone. */
export async function registerSearchAttributes({ connection, options }: Client): Promise<void> {
  const keyword = 2; // temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: options.namespace });
  const missing = searchAttributes.filter((name) => !(name in customAttributes));
  if (missing.length === 0) return;
  await connection.operatorService.addSearchAttributes({
    namespace: options.namespace,
    searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
  });
}

function connectConfig({ embeddedAddress }: TemporalTarget): ReturnType<typeof loadClientConnectConfig> {
  if (embeddedAddress !== undefined) return { connectionOptions: { address: embeddedAddress } };
  return loadClientConnectConfig();
}

function unreachable(address: string | undefined, error: unknown): InvalidSetting {
  return new InvalidSetting(
    `Temporal at ${address ?? 'localhost:7233'} cannot be reached (${asError(error).message}). Is it running, and is TEMPORAL_ADDRESS right?`,
    { ...(address === undefined ? {} : { found: address }) },
    { cause: error },
  );
}
