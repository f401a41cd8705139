/** Keeps the built workflows as those of a release: `npm run freeze -- 0.2.0`, after `npm run build`. */
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { gzipSync } = require('node:zlib');

const { minifySync } = require('@swc/core');

const [version, source = join(__dirname, '..', '..', 'dist', 'workflow-bundle.js')] = process.argv.slice(2);
if (!/^\d+\.\d+\.\d+$/.test(version ?? '')) throw new Error('Which release is it? npm run freeze -- 0.2.0');

const bundle = readFileSync(source, 'utf8');
const code = bundle.slice(0, bundle.lastIndexOf('//# sourceMappingURL='));
// Names stay: Temporal finds workflows by them.
const minified = minifySync(code, { compress: false, mangle: false, module: false }).code;
writeFileSync(join(__dirname, `${version}.js.gz`), gzipSync(minified, { level: 9 }));
