import type { StoredFile } from '../downloads/download-artifact';

/** A file of the version that a distribution serves. */
export interface FoundFile {
  readonly contentArtifactId: string;
  /** In its version. */
  readonly path: string;
  /** When its content was first saved: the same before and after the file was fetched. */
  readonly lastModified: Date;
  /** Absent where nobody has fetched it yet, or its file was given back. */
  readonly stored: StoredFile | undefined;
}

/** Bytes of a file; both offsets are inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A file whose bytes can be had, from the storage or from upstream. */
export interface ReadableFile {
  /** Bytes; undefined where that shows only at the end. */
  readonly size: number | undefined;
  /** Undefined where nobody has declared it and the file is not stored. */
  readonly sha256: string | undefined;
  /** Whether to read several parts costs no more than to read one; upstream would be asked for each. */
  readonly inParts?: true;
  /**
   * Absent where its bytes were found right before. *Unverified* bytes are found right, or wrong, at their end, when most are sent.
   * *Disputed* ones were found wrong just now: who asks for a part may hold the beginning of another file.
   */
  readonly doubt?: 'unverified' | 'disputed';
  /**
   * Begins to read, and returns once the first bytes are at hand: until then another answer can be given. Reading throws where
   * the rest cannot be had; leaving the loop early gives it up.
   *
   * @param range - absent: all of it
   * @throws {@link FileUnavailable}, the signal's reason
   */
  open(range: ByteRange | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** What makes files readable that are not stored. */
export interface DeferredFiles {
  /** @throws {@link FileUnavailable} where upstream has to be asked for the size and nobody answers. */
  find(file: FoundFile, signal: AbortSignal): Promise<ReadableFile>;
}
