import type { Readable } from 'node:stream';

/**
 * Where artifacts and pinned metadata lie. A key is a relative path such as `artifact/ab/cdef…`; what lies under a key is
 * whole and never changes. {@link artifactKey} and {@link metadataKey} make keys.
 */
export interface Storage extends FileSink {
  /** Begins a new file under a temporary name. */
  create(): ReadableWriter;
  /** The size in bytes of what lies under a key; `undefined` where nothing does. */
  sizeOf(key: string): Promise<number | undefined>;
  /** What lies under a key, with its age; `undefined` where nothing does. */
  find(key: string): Promise<ListedFile | undefined>;
  /** Streams what lies under a key; `start` and `end` are byte offsets, both inclusive. Where nothing does, its error has the code `ENOENT`. */
  read(key: string, range?: { readonly start: number; readonly end: number }): Readable;
  /**
   * As {@link read}, for who is done with a chunk before the next one is asked for: its memory is used again. The file is open once it
   * returns. Absent where a storage reads no faster so.
   */
  readInTurn?(key: string, range: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
  /** The whole of a small file. Where nothing lies under the key, its error has the code `ENOENT`. */
  readAll(key: string): Promise<Buffer>;
  /** A url that anybody can read what lies under a key from, for a time; absent where a storage has no urls. */
  urlOf?(key: string, use: UrlUse): Promise<string>;
  /**
   * All that lies under keys which begin with `prefix`, a folder such as `metadata/12`, in any order; everything for `''`. What
   * was begun and not put in place lies under `tmp`. What comes or goes meanwhile may be in it or not.
   */
  list(prefix: string): AsyncIterable<ListedFile>;
  /** Puts what lies under one key under another one, in one step, as if it were written now; nothing there is no error. */
  move(key: string, to: string): Promise<void>;
  /** Removes what lies under a key, also one under `tmp`; nothing there is no error. */
  remove(key: string): Promise<void>;
  /** Removes all that lies under keys which begin with `prefix`, a folder such as `metadata/12`. */
  removeAll(prefix: string): Promise<void>;
  /** How much room there is; `undefined` where nobody can tell. */
  room(): Promise<StorageRoom | undefined>;
  /** Returns once all that was put in place before the call survives a power failure. */
  flush(): Promise<void>;
}

/** What a url to a stored file is for. */
export interface UrlUse {
  /** The media type that the answer has. */
  readonly contentType: string;
  /** What a browser calls the file when it saves it. */
  readonly filename?: string;
  /** Seconds. */
  readonly expiresIn: number;
}

/** What lies under a key. */
export interface ListedFile {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  readonly modifiedAt: Date;
}

/** Bytes of the file system, or the quota, that files lie in. */
export interface StorageRoom {
  readonly free: number;
  readonly total: number;
}

/** A file that is being written. Exactly one of `commit` and `discard` ends it. */
export interface StorageWriter {
  /** Adds bytes, one call after the other. They may be kept for a while, and must not change any more. */
  write(chunk: Uint8Array): Promise<void>;
  /** Puts the file under its key in one step; the same key twice is the same content, and no error. */
  commit(key: string): Promise<void>;
  /** Leaves nothing behind, also after a `write` or `commit` that failed; a second time is no error. */
  discard(): Promise<void>;
}

/** Where files are begun. */
export interface FileSink {
  create(): StorageWriter;
}

/** A file of a storage that can be read along while it is written. */
export interface ReadableWriter extends StorageWriter {
  /** To be called before the first `write`, once at most. */
  readBack(): WrittenBytes;
}

/** The bytes of a file that is being written, also after its `commit` or `discard`; it has to be closed. */
export interface WrittenBytes {
  /** Up to `length` bytes of those whose `write` has returned, and at least one; they never change. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Frees what is kept for reading, once nobody reads any more; a second time is no error. */
  close(): void;
}

/** The key of an artifact, as pulpcore lays its storage out. */
export function artifactKey(sha256: string): string {
  return `artifact/${sha256.slice(0, 2)}/${sha256.slice(2)}`;
}

/** The key of a file whose bytes are not what its artifact says, and which nobody takes for it any more. */
export function corruptedKey(sha256: string): string {
  return `corrupted/${sha256}`;
}

/** The folder of the metadata that a sync has pinned. */
export function metadataPrefix(syncId: string): string {
  return `metadata/${syncId}`;
}

/** The key of a metadata file that a sync has pinned. */
export function metadataKey(syncId: string, sha256: string): string {
  return `${metadataPrefix(syncId)}/${sha256}`;
}
