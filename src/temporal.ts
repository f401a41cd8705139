import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';

import { InvalidSetting, PenstockError, asError } from './errors';
import { temporalCalls } from './temporal-calls';

/** Search attributes of a sync's workflow; all are keywords. */
export const searchAttributes = ['PenstockRepository', 'PenstockPlugin', 'PenstockPolicy', 'PenstockStage'] as const;

/** Temporal's server does not answer. */
export class TemporalUnreachable extends PenstockError {
  override readonly transient = true;
}

/** How Temporal is reached: what Temporal's own `envconfig` reads, or the embedded server's address. */
export interface TemporalTarget {
  /** `host:port` of the embedded server. */
  readonly embeddedAddress?: string | undefined;
}

/** Where Temporal is, for people. */
export function describeTarget(target: TemporalTarget = {}): { readonly address: string; readonly namespace: string } {
  const { connectionOptions, namespace = 'default' } = connectConfig(target);
  return { address: connectionOptions.address ?? 'localhost:7233', namespace };
}

/** A connection for what starts and looks at syncs. @throws {@link TemporalUnreachable}, {@link InvalidSetting} */
export async function connectClient(target: TemporalTarget = {}): Promise<Client> {
  const { connectionOptions, namespace } = connectConfig(target);
  const options = { ...connectionOptions, interceptors: temporalCalls };
  const connection = await Connection.connect(options).catch((error: unknown) => {
    throw unreachable(connectionOptions.address, error);
  });
  return new Client({ connection, ...(namespace === undefined ? {} : { namespace }) });
}

/** A connection for a worker. @throws {@link TemporalUnreachable}, {@link InvalidSetting} */
export async function connectWorker(
  target: TemporalTarget = {},
): Promise<{ connection: NativeConnection; namespace: string }> {
  // Loaded where a worker is wanted: it is most of what there is to load.
  const { NativeConnection } = await import('@temporalio/worker');
  const { connectionOptions, namespace = 'default' } = connectConfig(target);
  const connection = await NativeConnection.connect(connectionOptions).catch((error: unknown) => {
    throw unreachable(connectionOptions.address, error);
  });
  return { connection, namespace };
}

/**
 * Registers the search attributes that a sync's workflow sets; those that are there already are left alone.
 *
 * @returns the names of those that were registered now.
 */
export async function registerSearchAttributes(client: Client): Promise<string[]> {
  const keyword = 2; // temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
  const { connection, options } = client;
  const missing = await missingSearchAttributes(client);
  if (missing.length === 0) return [];
  try {
    await connection.operatorService.addSearchAttributes({
      namespace: options.namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
    });
  } catch (error) {
    // Another process may have registered them meanwhile.
    if ((await missingSearchAttributes(client)).length > 0) throw error;
  }
  return missing;
}

async function missingSearchAttributes({ connection, options }: Client): Promise<string[]> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: options.namespace });
  return searchAttributes.filter((name) => !(name in customAttributes));
}

function connectConfig({ embeddedAddress }: TemporalTarget): ReturnType<typeof loadClientConnectConfig> {
  if (embeddedAddress !== undefined) return { connectionOptions: { address: embeddedAddress } };
  try {
    return loadClientConnectConfig();
  } catch (error) {
    throw new InvalidSetting(
      `Temporal's configuration cannot be read: ${asError(error).message}. Look at TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and the other TEMPORAL_ variables.`,
      {},
      { cause: error },
    );
  }
}

function unreachable(address = 'localhost:7233', error: unknown): TemporalUnreachable {
  return new TemporalUnreachable(
    `Temporal at ${address} cannot be reached (${asError(error).message}). Is it running, and is TEMPORAL_ADDRESS right?`,
    { found: address },
    { cause: error },
  );
}
