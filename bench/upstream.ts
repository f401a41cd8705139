import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Serves a file repository of generated files in a process of its own; prints its url. Arguments: files, bytes of each. */
const files = Number(process.argv[2]);
const bytes = Number(process.argv[3]);

/** The first bytes make each file unique; what follows is shared, so that large files cost no memory. */
const filling = Buffer.alloc(bytes, 'penstock ');
const head = (index: number): Buffer => Buffer.from(`${index}\n`.padStart(16, '0')).subarray(0, bytes);

const lines: string[] = [];
for (let index = 0; index < files; index += 1) {
  const hash = createHash('sha256').update(head(index)).update(filling.subarray(16));
  lines.push(`files/${index % 100}/${index}.bin,${hash.digest('hex')},${bytes}\n`);
}
const manifest = Buffer.from(lines.join(''));

const server = createServer((request, response) => {
  if (request.url === '/PULP_MANIFEST') {
    response.writeHead(200, { 'content-length': manifest.length, etag: '"manifest"' }).end(manifest);
    return;
  }
  const index = Number(/(\d+)\.bin$/.exec(request.url ?? '')?.[1]);
  response.writeHead(200, { 'content-length': bytes });
  // One packet where it is one, as of any file server.
  response.cork();
  response.write(head(index));
  response.end(filling.subarray(16));
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/PULP_MANIFEST\n`);
});
