/**
 * What a boot adds for its operator: modules by name for kldload(2), interfaces that can be made by name, the probes as channels of
 * diagnostics_channel (`netmod:connect`, ...), and the ring of captured frames, written to a file on SIGUSR2.
 */
import fs from 'node:fs';
import type { Kernel } from '../kern/kernel.ts';
import { writeRing } from '../control/capture.ts';
import { publishDiagnostics } from '../control/diagnostics.ts';
import { createLo } from '../driver/lo.ts';
import { createPair } from '../driver/pair.ts';
import { findForKldload } from './registry.ts';

/** Longest name of the ring's file in characters. */
const FILE_MAX = 1024;

/** `file` is where the ring goes unless kern.capture.file says otherwise. Before tunables are checked. */
export function addOperatorSide(kernel: Kernel, file: string): void {
  kernel.modules.finder = findForKldload;
  publishDiagnostics(kernel);
  addCloners(kernel);
  addRingFile(kernel, file);
}

/** `ifconfig lo create`, `ifconfig epair create`. `lo0` is the boot's. */
function addCloners(kernel: Kernel): void {
  kernel.cloners.add({ name: 'lo', firstUnit: 1, create: () => [createLo(kernel.effects)] });
  kernel.cloners.add({ name: 'epair', create: () => createPair(kernel.effects) });
}

function addRingFile(kernel: Kernel, initial: string): void {
  let file = initial;
  kernel.sysctl.add({
    name: 'kern.capture.file',
    descr: 'Where SIGUSR2 writes the captured frames, as pcapng',
    flags: 'rwtun',
    type: 'string',
    get: () => file,
    set: (value) => {
      if (value === '' || value.length > FILE_MAX) return 'EINVAL';
      file = value;
      return null;
    },
  });
  const dump = (): void => dumpRing(kernel, file);
  process.on('SIGUSR2', dump);
  kernel.events.on('shutdown_final', () => void process.off('SIGUSR2', dump));
}

/** Under another name first, so that nobody sees half a file. */
function dumpRing(kernel: Kernel, file: string): void {
  const { ring } = kernel.bpf;
  if (ring.sizeMb() === 0) {
    kernel.log.warn({ subsys: 'capture' }, 'nothing is captured: kern.capture.ring_mb is 0');
    return;
  }
  const blocks: Uint8Array[] = [];
  const frames = writeRing(kernel, (bytes) => void blocks.push(bytes));
  const part = `${file}.${process.pid}.part`;
  try {
    fs.writeFileSync(part, Buffer.concat(blocks), { mode: 0o600 });
    fs.renameSync(part, file);
    kernel.log.info({ subsys: 'capture', file, frames }, 'captured frames were written');
  } catch (error) {
    fs.rmSync(part, { force: true });
    const err = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    kernel.log.error({ subsys: 'capture', file, err }, 'captured frames cannot be written');
  }
}
