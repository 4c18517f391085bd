/**
 * What a boot adds for its operator: modules by name for kldload(2), interfaces that can be made by name, the probes as channels of
 * diagnostics_channel (`netmod:connect`, ...), and the ring of captured frames, written to a file on SIGUSR2.
 */
import fs from 'node:fs';
import type { Kernel } from '../kern/kernel.ts';
import { publishDiagnostics } from '../control/diagnostics.ts';
import { ringFile } from '../control/ringdump.ts';
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
  let dump: RingFile | null = null;
  const begin = (): void => {
    if (dump?.isRunning === true)
      return kernel.log.warn({ subsys: 'capture', file }, 'captured frames are being written already');
    dump = new RingFile(kernel, file);
  };
  process.on('SIGUSR2', begin);
  kernel.events.on('shutdown_final', () => {
    process.off('SIGUSR2', begin);
    dump?.finish();
  });
}

/** Bytes of the ring that are written in one turn of the event loop. */
const PIECE = 128 * 1024;

/** Writes the ring piece by piece, so that the stack goes on; under another name first, so that nobody sees half a file. */
class RingFile {
  isRunning = true;
  readonly #kernel: Kernel;
  readonly #file: string;
  readonly #part: string;
  readonly #pieces: ReturnType<typeof ringFile>;
  #fd = -1;

  constructor(kernel: Kernel, file: string) {
    this.#kernel = kernel;
    this.#file = file;
    this.#part = `${file}.${process.pid}.part`;
    this.#pieces = ringFile(kernel, PIECE);
    if (kernel.bpf.ring.sizeMb() > 0) this.#turn();
    else {
      this.isRunning = false;
      kernel.log.warn({ subsys: 'capture' }, 'nothing is captured: kern.capture.ring_mb is 0');
    }
  }

  #turn(): void {
    this.#step();
    if (this.isRunning) this.#kernel.effects.yield(() => this.#turn());
  }

  /** All that is left, at once. */
  finish(): void {
    while (this.isRunning) this.#step();
  }

  #step(): void {
    if (!this.isRunning) return;
    try {
      if (this.#fd < 0) this.#fd = fs.openSync(this.#part, 'w', 0o600);
      const piece = this.#pieces.next();
      if (piece.done !== true) {
        for (let at = 0; at < piece.value.length;) at += fs.writeSync(this.#fd, piece.value, at);
        return;
      }
      this.#close();
      fs.renameSync(this.#part, this.#file);
      this.#kernel.log.info({ subsys: 'capture', file: this.#file, frames: piece.value }, 'captured frames were written');
    } catch (error) {
      this.#close();
      fs.rmSync(this.#part, { force: true });
      const err = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      this.#kernel.log.error({ subsys: 'capture', file: this.#file, err }, 'captured frames cannot be written');
    }
  }

  #close(): void {
    this.isRunning = false;
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }
}
