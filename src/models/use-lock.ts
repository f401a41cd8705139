/** An advisory lock of PostgreSQL; the number is arbitrary. */
const useLock = 0x50454e55;

/** Milliseconds that a removal waits for what takes into use, which itself waits behind it. */
const patience = 10_000;

/**
 * For a transaction that takes saved contents, artifacts or stored files into use: nothing is removed until its end. Any number
 * of them run at once. It is the first lock of the transaction: who waits for it holds no row that a removal may want.
 *
 * Not needed where all that is used is held by a version that is locked already, as in a rollback.
 */
export const takeIntoUse = `select pg_advisory_xact_lock_shared(${useLock})`;

/**
 * For a transaction that removes what nobody uses: nobody takes anything into use until its end, so it has to be short. What it
 * is about to remove it looks at again in a statement after this one, whose snapshot is younger than the lock.
 */
export const excludeUse = `set local lock_timeout = ${patience}; select pg_advisory_xact_lock(${useLock})`;
