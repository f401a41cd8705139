import { onAbort } from '../downloads/abort';

/**
 * Waits for the first bytes of a file, so that an error which comes before them can still be answered as one.
 *
 * @param signal - ends the reading also where nobody reads on
 * @throws what reading throws
 */
export async function withFirstBytes(
  bytes: AsyncGenerator<Uint8Array, void>,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  let first: IteratorResult<Uint8Array, void> | undefined = await bytes.next();
  const takeBack = onAbort(signal, () => void bytes.return());
  const next = async () => {
    const result = first ?? (await bytes.next());
    first = undefined;
    if (result.done) takeBack();
    return result;
  };
  const leave = () => {
    takeBack();
    return bytes.return();
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
}
