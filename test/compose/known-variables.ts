import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(__dirname, '..', '..');

/** The environment variables that Penstock's own settings read, from the source that reads them. */
export function variablesOfPenstock(): string[] {
  const files = ['settings.ts', 'storage/storage-place.ts'];
  const source = files.map((file) => readFileSync(join(root, 'src', file), 'utf8')).join('\n');
  return found(source, /\benv\.([A-Z][A-Z_]+)|\bread\w+\(env, '([A-Z][A-Z_]+)'/g).filter(
    // Temporal's only decide whether it is given, AWS's how a bucket is named: their own configurations read them.
    (name) => !variablesOfTemporal().includes(name) && !name.startsWith('AWS_'),
  );
}

/** The environment variables that Temporal's `envconfig` reads for its clients, from the installed package. */
export function variablesOfTemporal(): string[] {
  const folder = dirname(require.resolve('@temporalio/envconfig'));
  const source = readFileSync(join(folder, 'envconfig-toml.js'), 'utf8');
  return found(source, /envProvider\['(TEMPORAL_[A-Z_]+)'\]|PREFIX = '(TEMPORAL_GRPC_META_)'/g).map((name) =>
    name.endsWith('_') ? `${name}*` : name,
  );
}

function found(source: string, pattern: RegExp): string[] {
  const names = [...source.matchAll(pattern)].map((match) => match.slice(1).find(Boolean) ?? '');
  return [...new Set(names)].sort();
}
