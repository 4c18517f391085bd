#!/usr/bin/env node
/** `netmod COMMAND`: the program. Everything it does is in `program.ts`; here it meets the terminal. */
import fs from 'node:fs';
import { runProgram } from './program.ts';
import type { Screen } from './tool.ts';
import { TOOLS } from './tools.ts';

const ended = new AbortController();
const { stdin, stdout, stderr } = process;
// A reader that has gone (`| head`) ends the command; that is no error.
stdout.on('error', () => ended.abort());
stderr.on('error', () => undefined);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ended.abort());

/** What does not fit is waited for, so that memory does not grow behind a slow reader. */
function write(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => void stdout.write(data, () => resolve()));
}

function keys(onKey: (key: string) => void): () => void {
  const onData = (data: Buffer): void => onKey(String(data));
  stdin.setRawMode(true);
  stdin.on('data', onData);
  return () => {
    stdin.off('data', onData);
    stdin.setRawMode(false);
    stdin.pause();
  };
}

const line = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`);
const screen: Screen = {
  print: (text) => void stdout.write(line(text)),
  write,
  warn: (text) => void stderr.write(line(text)),
  isTty: stdout.isTTY === true,
  // A terminal that does not know its size says 0.
  columns: () => stdout.columns || 80,
  rows: () => stdout.rows || 24,
  keys: stdin.isTTY === true ? keys : null,
};

const { version } = JSON.parse(fs.readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
process.exitCode = await runProgram(process.argv.slice(2), {
  tools: TOOLS,
  screen,
  until: ended.signal,
  env: process.env,
  version,
});
