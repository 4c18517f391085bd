/** The file that a trace of the link goes to. Blocks are gathered and written once in a turn of the event loop. */
import fs from 'node:fs';
import type { Kernel } from '../kern/kernel.ts';
import type { PcapSink } from '../driver/pcapng.ts';
import { BootFailure } from './failure.ts';

const BUFFER = 1 << 20;

export class PcapFile implements PcapSink {
  readonly counters = { blocks: 0, bytes: 0, lost: 0 };
  readonly #kernel: Kernel;
  readonly #file: string;
  readonly #buffer = new Uint8Array(BUFFER);
  #fd: number;
  #used = 0;
  #scheduled = false;
  readonly #flushLater = (): void => {
    this.#scheduled = false;
    this.#flush();
  };

  constructor(kernel: Kernel, file: string) {
    this.#kernel = kernel;
    this.#file = file;
    try {
      this.#fd = fs.openSync(file, 'w');
    } catch (error) {
      throw new BootFailure(1, `--pcap: cannot write ${file} (${codeOf(error)})`);
    }
    kernel.counters.add('pcap', this.counters);
  }

  write(bytes: Uint8Array): void {
    if (this.#fd < 0) {
      this.counters.lost++;
      return;
    }
    this.counters.blocks++;
    this.counters.bytes += bytes.length;
    if (this.#used + bytes.length > BUFFER) this.#flush();
    if (bytes.length > BUFFER) return this.#out(bytes, bytes.length);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#kernel.effects.yield(this.#flushLater);
  }

  #flush(): void {
    const n = this.#used;
    this.#used = 0;
    if (n > 0) this.#out(this.#buffer, n);
  }

  /** A file that cannot be written any more ends the trace, not the boot. */
  #out(bytes: Uint8Array, length: number): void {
    if (this.#fd < 0) return;
    try {
      for (let at = 0; at < length;) at += fs.writeSync(this.#fd, bytes, at, length - at);
    } catch (error) {
      this.#kernel.log.error({ file: this.#file, err: codeOf(error) }, 'the trace cannot be written any more');
      this.close();
    }
  }

  close(): void {
    this.#flush();
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) fs.closeSync(fd);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
