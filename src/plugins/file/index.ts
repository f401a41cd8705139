import { definePlugin } from '../plugin';
import { FileContent } from './file-content';
import { readManifest } from './manifest';
import { urlBeside } from '../url-beside';
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
          artifacts: [{ url: urlBeside(remote.url, relativePath), relativePath, sha256, size }],
        };
      }
    },
  },
});
