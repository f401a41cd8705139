import { totalmem } from 'node:os';

const MIB = 1024 * 1024;

/** What of PostgreSQL's behaviour the caller decides. */
export interface PostgresTuning {
  /** False for throwaway data only: a crash of the machine then loses everything. */
  readonly durable: boolean;
  /** Bytes of memory of the machine, or of the container. */
  readonly memory?: number;
}

/**
 * PostgreSQL's settings for one machine that it shares with Temporal, a worker and whatever else the person runs: a sync writes much
 * with few connections, then there is nothing to do for hours. They are given on the command line, so that a newer Penstock
 * brings newer ones.
 */
export function postgresSettings({ durable, memory = availableMemory() }: PostgresTuning): Record<string, string> {
  return {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    password_encryption: 'scram-sha-256',
    max_connections: '100',

    // An eighth of the memory; the rest of what is hot stays in the page cache.
    shared_buffers: `${megabytes(memory / 8, 64, 1024)}MB`,
    effective_cache_size: `${megabytes(memory / 2, 256, 65_536)}MB`,
    work_mem: '16MB',
    maintenance_work_mem: `${megabytes(memory / 32, 64, 512)}MB`,

    // Every commit is on the disk: an interrupted sync goes on from what is committed.
    fsync: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    // A checkpoint in the middle of a sync writes every page twice (full-page images): let them be seldom. The price is
    // disk space and up to a minute of recovery after a crash.
    max_wal_size: '2GB',
    min_wal_size: '128MB',
    checkpoint_timeout: '15min',
    // There are no replicas: less is written, and what is copied into a table of the same transaction is not logged.
    wal_level: 'minimal',
    max_wal_senders: '0',
    // These binaries only know pglz, which costs more processor time than it saves of a local disk.
    wal_compression: 'off',

    // Local solid state disks, short queries, and cores that the worker and Temporal need as well.
    random_page_cost: '1.1',
    jit: 'off',
    max_parallel_workers_per_gather: '0',
    max_parallel_maintenance_workers: '0',
    // Without parallel queries nothing of size is shared through /dev/shm, which is small in a container.
    min_dynamic_shared_memory: '0',
    // A table that a sync has just filled is looked at soon.
    autovacuum_naptime: '15s',

    // A worker that was killed does not keep its locks until the end of a long statement.
    client_connection_check_interval: '2s',

    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '%m [%p] %q%d ',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    log_min_messages: 'warning',
    TimeZone: 'UTC',
  };
}

/** The memory of the container, where there is a limit, else of the machine. */
function availableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function megabytes(bytes: number, least: number, most: number): number {
  return Math.round(Math.min(Math.max(bytes / MIB, least), most));
}
