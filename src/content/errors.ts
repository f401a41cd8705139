import { PenstockError } from '../errors';

/** No source could give a file, or what it gave is not what was declared; the reasons name each source. */
export class FileUnavailable extends PenstockError {
  override readonly transient = true;

  /** @param retryAfter - seconds after which a source will be asked again, where all are left alone until then */
  constructor(
    readonly path: string,
    readonly reasons: readonly string[],
    readonly retryAfter?: number,
  ) {
    super(`"${path}" can be had from no source: ${reasons.join('; ')}`, { path });
  }
}
