/**
 * The url of a file that stands beside a metadata file, by its relative path. Each segment is encoded, so whatever upstream says,
 * the path leads nowhere else.
 */
export function urlBeside(metadataUrl: string, relativePath: string): string {
  return new URL(relativePath.split('/').map(encodeSegment).join('/'), metadataUrl).href;
}

/** Half a character, as JSON can hold one, has no encoding. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment.replace(/\p{Surrogate}/gu, '\ufffd'));
}
