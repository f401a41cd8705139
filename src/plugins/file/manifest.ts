import type { Readable } from 'node:stream';

import { parseDigest } from '../../downloads/digests';
import { asError } from '../../errors';
import { faultOfPath } from '../declared-values';
import { InvalidMetadata } from '../invalid-metadata';

/** A line of a manifest. */
export interface ManifestEntry {
  readonly relativePath: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Longest line, in bytes: a path of 4,096 bytes, a digest, a size, with room to spare. */
const maxLineBytes = 16_384;

/**
 * Reads a `PULP_MANIFEST`: UTF-8 text, a line `path,sha256,size` for each file. It is split from the right, so that a path
 * may hold commas. Empty lines are skipped. The format is that of pulp_file (`pulp_file/manifest.py`).
 *
 * @throws {@link InvalidMetadata} naming the line, what was expected and what was found.
 */
export async function* readManifest(manifest: {
  readonly url: string;
  stream(): Readable;
}): AsyncGenerator<ManifestEntry> {
  let line = 0;
  for await (const bytes of linesOf(
    manifest.stream(),
    (number) =>
      new InvalidMetadata(`the line is longer than ${maxLineBytes} bytes`, { url: manifest.url, line: number }),
  )) {
    line += 1;
    const entry = readLine(bytes, (what, found) => {
      const shown = found === undefined ? '' : `; found ${JSON.stringify(found.slice(0, 200))}`;
      return new InvalidMetadata(`${what}${shown}.`, {
        url: manifest.url,
        line,
        expected: 'path,sha256,size',
        ...(found === undefined ? {} : { found: found.slice(0, 200) }),
      });
    });
    if (entry) yield entry;
  }
}

type Fault = (what: string, found?: string) => InvalidMetadata;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readLine(bytes: Buffer, fault: Fault): ManifestEntry | undefined {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw fault('the line is not UTF-8');
  }
  text = text.trim();
  if (text === '') return undefined;

  const beforeSize = text.lastIndexOf(',');
  const beforeDigest = text.lastIndexOf(',', beforeSize - 1);
  if (beforeSize < 1 || beforeDigest < 0) {
    const html = /^(\uFEFF)?<(!doctype|html|\?xml)/i.test(text) ? ' (this looks like a page, not a manifest)' : '';
    throw fault(`expected path,sha256,size${html}`, text);
  }
  const relativePath = text.slice(0, beforeDigest);
  const digest = text.slice(beforeDigest + 1, beforeSize);
  const size = text.slice(beforeSize + 1);

  const pathFault = faultOfPath(relativePath);
  if (pathFault) throw fault(pathFault, text);
  if (!/^\d+$/.test(size)) throw fault('the size is not a number of bytes', size);
  if (!Number.isSafeInteger(Number(size))) throw fault('the size is 2^53 bytes or more', size);
  try {
    return { relativePath, sha256: parseDigest('sha256', digest), size: Number(size) };
  } catch (error) {
    throw fault(asError(error).message);
  }
}

/** Splits a stream at line feeds, holding no more than one line and one chunk. */
async function* linesOf(stream: Readable, tooLong: (line: number) => Error): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  let number = 1;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const tail = chunk.subarray(start, end);
      if (rest.length + tail.length > maxLineBytes) throw tooLong(number);
      yield rest.length === 0 ? tail : Buffer.concat([rest, tail]);
      number += 1;
      rest = Buffer.alloc(0);
      start = end + 1;
    }
    rest = Buffer.concat([rest, chunk.subarray(start)]);
    if (rest.length > maxLineBytes) throw tooLong(number);
  }
  if (rest.length > 0) yield rest;
}
