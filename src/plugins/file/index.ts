import { definePlugin } from '../plugin';
import { FileContent } from './file-content';
import { readManifest } from './manifest';
import { migrations } from './migrations';

/** Plain files, listed by a `PULP_MANIFEST`. */
export const file = definePlugin({
  name: 'file',
  contents: [FileContent],
  migrations,
  firstStage: {
    async *start({ remote, metadata }) {
      const manifest = await metadata(remote.url);
      for await (const { relativePath, sha256, size } of readManifest(manifest)) {
        yield {
          content: FileContent.declare({ relativePath, digest: sha256 }),
          artifacts: [{ url: urlOf(remote.url, relativePath), relativePath, sha256, size }],
        };
      }
    },
  },
});

/** The url of a file that stands beside the manifest; each segment is encoded, so a path cannot lead elsewhere. */
function urlOf(manifestUrl: string, relativePath: string): string {
  return new URL(relativePath.split('/').map(encodeURIComponent).join('/'), manifestUrl).href;
}
