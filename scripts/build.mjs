// @ts-check
/**
 * Compiles src/ to dist/: what `tsc -p .` does, with the same options, errors, declarations and source maps, and constants.mjs on the way.
 */
import { resolve } from 'node:path';
import ts from 'typescript';
import { constants } from './constants.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const FORMAT = {
  getCanonicalFileName: (/** @type {string} */ name) => name,
  getCurrentDirectory: () => ROOT,
  getNewLine: () => '\n',
};

/** Ends the build if there are any. @param {readonly ts.Diagnostic[]} errors */
function check(errors) {
  if (errors.length === 0) return;
  process.stderr.write(ts.formatDiagnostics(errors, FORMAT));
  process.exit(1);
}

const { config, error } = ts.readConfigFile(resolve(ROOT, 'tsconfig.json'), ts.sys.readFile);
check(error === undefined ? [] : [error]);
const { fileNames, options, errors } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
check(errors);
const program = ts.createProgram(fileNames, options);
check(ts.getPreEmitDiagnostics(program));
const before = [constants(program.getTypeChecker())];
check(program.emit(undefined, undefined, undefined, false, { before }).diagnostics);
