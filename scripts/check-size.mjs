/** Fails for a source or test file of more than 600 lines: a reader should see one idea at a time. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const LIMIT = 600;
const FOLDERS = ['src', 'native', 'test', 'scripts', 'bench'];

let tooLong = 0;
for (const folder of FOLDERS.filter((name) => existsSync(name))) {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(ts|mts|js|mjs|cjs|c|h)$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const lines = readFileSync(path, 'utf8').split('\n').length - 1;
    if (lines <= LIMIT) continue;
    console.error(`${path}: ${lines} lines; ${LIMIT} is the limit`);
    tooLong++;
  }
}
process.exitCode = tooLong > 0 ? 1 : 0;
