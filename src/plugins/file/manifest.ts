import type { Readable } from 'node:stream';

import { parseDigest } from '../../downloads/digests';
import { asError } from '../../errors';
import { faultOfPath, faultOfSize } from '../declared-values';
import { InvalidMetadata } from '../invalid-metadata';

/** A line of a manifest. */
export interface ManifestEntry {
  readonly relativePath: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Longest line, in bytes: the longest path, a digest, a size, with room to spare. */
const maxLineBytes = 16_384;
/** Characters of a line that a message shows. */
const maxShown = 200;

/**
 * Reads a `PULP_MANIFEST`: UTF-8 text, a line `path,sha256,size` for each file. It is split from the right, so that a path
 * may hold commas; spaces around the three are not part of them. Empty lines and those that begin with `#` are skipped, and
 * a byte order mark at the beginning. The format is that of pulp_file (`pulp_file/manifest.py`).
 *
 * @throws {@link InvalidMetadata} naming the line, what was expected and what was found.
 */
export async function* readManifest(manifest: {
  readonly url: string;
  stream(): Readable;
}): AsyncGenerator<ManifestEntry> {
  let line = 0;
  for await (const bytes of linesOf(manifest.stream())) {
    line += 1;
    const entry = readLine(bytes, line === 1, (what, found) => {
      const shown = found === undefined ? '' : `, found ${JSON.stringify(found.slice(0, maxShown))}`;
      return new InvalidMetadata(`${what}${shown}.`, {
        url: manifest.url,
        line,
        expected: 'path,sha256,size',
        ...(found === undefined ? {} : { found: found.slice(0, maxShown) }),
      });
    });
    if (entry) yield entry;
  }
}

type Fault = (what: string, found?: string) => InvalidMetadata;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readLine(bytes: Buffer, first: boolean, fault: Fault): ManifestEntry | undefined {
  if (bytes.length > maxLineBytes) throw fault(`the line is longer than ${maxLineBytes} bytes${hintOf(bytes)}`);
  const text = decode(bytes, first, fault);
  if (text.trim() === '' || text.startsWith('#')) return undefined;

  const beforeSize = text.lastIndexOf(',');
  const beforeDigest = text.lastIndexOf(',', beforeSize - 1);
  if (beforeSize < 1 || beforeDigest < 0) throw fault(`expected path,sha256,size${hintOf(bytes)}`, text);
  const relativePath = trimSpaces(text.slice(0, beforeDigest));
  const digest = trimSpaces(text.slice(beforeDigest + 1, beforeSize));
  const size = trimSpaces(text.slice(beforeSize + 1));

  if (!/^\d+$/.test(size)) throw fault(`expected the size as a number of bytes${hintOf(bytes)}`, size);
  const unusable = faultOfPath(relativePath) ?? faultOfSize(Number(size));
  if (unusable) throw fault(unusable, text);
  try {
    return { relativePath, sha256: parseDigest('sha256', digest), size: Number(size) };
  } catch (error) {
    throw fault(asError(error).message.replace(/\.$/, ''));
  }
}

function decode(bytes: Buffer, first: boolean, fault: Fault): string {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw fault('the line is not UTF-8', bytes.subarray(0, maxShown).toString('latin1'));
  }
  return trimSpaces((first ? text.replace(/^\uFEFF/, '') : text).replace(/\r$/, ''));
}

/** Spaces only: any other white space is part of a name, or a control character that has no place in one. */
function trimSpaces(text: string): string {
  let start = 0;
  let end = text.length;
  while (text[start] === ' ') start += 1;
  while (end > start && text[end - 1] === ' ') end -= 1;
  return text.slice(start, end);
}

/** A server that answers 200 with a page (a login, an error) is the likeliest reason for a line that is none. */
function hintOf(bytes: Buffer): string {
  return /^(\xef\xbb\xbf)?\s*</.test(bytes.toString('latin1', 0, 64))
    ? ' (this looks like a page, not a manifest)'
    : '';
}

/** Splits a stream at line feeds. A line that is too long comes cut off, and is the last one. */
async function* linesOf(stream: Readable): AsyncGenerator<Buffer> {
  const rest: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const tail = chunk.subarray(start, end);
      yield length === 0 ? tail : Buffer.concat([...rest, tail]);
      rest.length = length = 0;
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > maxLineBytes) break;
  }
  if (length > 0) yield Buffer.concat(rest);
}
