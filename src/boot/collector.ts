/**
 * The garbage collector of a process that answers packets. What the data path leaves behind is short-lived and little, so a scavenge has next
 * to nothing to copy and takes about 0.2 ms on the main thread alone. With V8's helper threads it takes as long as the slowest of them
 * takes to get a processor, which on a machine whose processors are all busy was measured at 3 to 20 ms.
 */
import v8 from 'node:v8';

/** To be called first, before there is anything to collect. */
export function tuneCollector(): void {
  v8.setFlagsFromString('--no-parallel-scavenge');
}
