/** Finds the control socket of a boot. */
import fs from 'node:fs';
import path from 'node:path';
import { ToolError } from './tool.ts';

/** Where boots put their control sockets. */
const RUN_DIR = '/run/netmod';

/** What was named; or the only one there is. An error that says what there is otherwise. */
export function findControl(named: string | undefined, dir = RUN_DIR): string {
  if (named !== undefined) return named;
  let files: string[] = [];
  try {
    files = fs.readdirSync(dir).filter((file) => file.endsWith('.sock'));
  } catch {
    // No directory: nothing has booted here.
  }
  const [only] = files;
  if (only === undefined) {
    throw new ToolError(
      `no boot has a control socket in ${dir}; start one (node dist/boot.js), or name its socket with --ctl=PATH or NETMOD_CTL`,
    );
  }
  if (files.length > 1)
    throw new ToolError(
      `there are ${files.length} boots: choose one with --ctl=PATH (${files.map((file) => path.join(dir, file)).join(' ')})`,
    );
  return path.join(dir, only);
}
