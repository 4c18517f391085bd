/**
 * The kernel's probes (`kern/diag.ts`) as channels of diagnostics_channel: `netmod:connect`, `netmod:accept`, `netmod:state`, `netmod:drop`,
 * `netmod:load`. A message has its addresses as text; the kernel of a message is not told, so a process with several joins the one it
 * wants. While a channel has no subscriber, nothing is made for it.
 */
import diagnosticsChannel from 'node:diagnostics_channel';
import type { Kernel } from '../kern/kernel.ts';
import type { Undo } from '../kern/undo.ts';
import { joinProbes } from './events.ts';

/** Publishes what the kernel reports from now on; the undo ends it. */
export function publishDiagnostics(kernel: Kernel): Undo {
  return joinProbes(kernel, (name) => diagnosticsChannel.channel(name));
}
