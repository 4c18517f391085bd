#!/usr/bin/env node
/** `netmod-pkt`: the command of `cli.ts` in a process of its own. */
import { pktMain } from './cli.ts';

process.exitCode = await pktMain(process.argv.slice(2), {
  out: (line) => console.log(line),
  err: (line) => console.error(line),
});
