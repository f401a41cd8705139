import { join } from 'node:path';

import ts from 'typescript';

import { root } from './markdown';

/** Checks code as if it were the file at a path of the project, as strictly as the project itself. */
export function typeErrors(path: string, code: string): string[] {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (name) => ts.sys.readFile(name));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root, { noEmit: true });
  const base = ts.createCompilerHost(options);
  const file = join(root, path);
  const host: ts.CompilerHost = {
    ...base,
    fileExists: (name) => name === file || base.fileExists(name),
    readFile: (name) => (name === file ? code : base.readFile(name)),
    getSourceFile: (name, version) =>
      name === file ? ts.createSourceFile(name, code, version) : base.getSourceFile(name, version),
  };
  const program = ts.createProgram([file], options, host);
  const source = program.getSourceFile(file);
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
    ({ messageText, start = 0 }) =>
      `line ${code.slice(0, start).split('\n').length}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
  );
}
