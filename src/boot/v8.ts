/**
 * V8 in a process that answers packets.
 *
 * The garbage collector: what the data path leaves behind is short-lived and little, so a scavenge has next to nothing to copy and takes
 * about 0.2 ms on the main thread alone. With V8's helper threads it takes as long as the slowest of them takes to get a processor,
 * which on a machine whose processors are all busy was measured at 3 to 20 ms.
 *
 * The compiler: a packet's way leads through many small functions, one after the other, each called from one place or two. With V8's
 * own limits it inlines some of them; with four times as many bytes of bytecode, most. docs/performance/notes.md has what that gives.
 */
import v8 from 'node:v8';

/** To be called first, before there is anything to collect or to compile. */
export function tuneV8(): void {
  v8.setFlagsFromString('--no-parallel-scavenge');
  v8.setFlagsFromString('--max-inlined-bytecode-size=1840');
  v8.setFlagsFromString('--max-inlined-bytecode-size-cumulative=3680');
}
