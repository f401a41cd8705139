import { defineContent } from '../content-type';

/** A file: a relative path with a digest. A repository holds one file for each path. */
export const FileContent = defineContent({
  name: 'file.file',
  table: 'file_contents',
  fields: { relativePath: 'text', digest: 'text' },
  naturalKey: ['relativePath', 'digest'],
  repositoryKey: ['relativePath'],
});
