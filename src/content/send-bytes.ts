import type { ServerResponse } from 'node:http';

/** The source of a body ended before its time, or the client did. */
export class BodyBroken extends Error {}

/** What a body is to be. */
interface Body {
  /** Bytes; undefined: as many as there are. */
  readonly length: number | undefined;
  /** Whether the response ends with it. */
  readonly last: boolean;
}

/**
 * Sends bytes as fast as the client takes them. Each chunk is with the system before the next one is asked for, so that its
 * memory may be used again.
 *
 * @throws {@link BodyBroken}, and what the source throws; nothing more can be said to the client then
 */
export async function sendBytes(
  response: ServerResponse,
  bytes: AsyncIterable<Uint8Array>,
  { length, last }: Body,
): Promise<void> {
  let left = length ?? Infinity;
  for await (const chunk of bytes) {
    if (chunk.length > left) throw new BodyBroken('there are more bytes than were announced');
    left -= chunk.length;
    if (left === 0 && last) {
      response.end(chunk);
      return;
    }
    await written(response, chunk);
  }
  if (length !== undefined && left > 0) throw new BodyBroken(`${left} of ${length} bytes are missing`);
  if (last) response.end();
}

function written(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => {
      reject(new BodyBroken('the client has gone'));
    };
    if (response.destroyed) {
      closed();
      return;
    }
    response.once('close', closed);
    response.write(chunk, () => {
      response.off('close', closed);
      resolve();
    });
  });
}
