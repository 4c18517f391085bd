/**
 * `--pcap`: the file that a trace of the device goes to, with the reason of each drop as a comment. Blocks are gathered and written once in
 * a turn of the event loop.
 */
import fs from 'node:fs';
import { isErrno } from '../kern/errno.ts';
import { BPF_MAXSNAP, type BpfFrame } from '../kern/ifnet/bpf.ts';
import type { Ifnet } from '../kern/ifnet/ifnet.ts';
import type { Kernel } from '../kern/kernel.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter } from '../wire/pcapng.ts';
import { packetFlags } from '../control/encoders.ts';
import { BootFailure } from './failure.ts';

const BUFFER = 1 << 20;

export class PcapFile {
  readonly counters = { blocks: 0, bytes: 0, lost: 0 };
  readonly #kernel: Kernel;
  readonly #file: string;
  readonly #writer = new PcapngWriter((bytes) => this.#write(bytes), BPF_MAXSNAP);
  readonly #buffer = new Uint8Array(BUFFER);
  #ifp: Ifnet | null = null;
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

  /** Traces `ifp` from now on, under the name `hostName`. */
  trace(ifp: Ifnet, hostName: string): void {
    const { bpf, events } = this.#kernel;
    this.#ifp = ifp;
    this.#writer.section('netmod');
    this.#writer.interface(hostName, ifp.type() === 'ethernet' ? LINKTYPE_ETHERNET : LINKTYPE_RAW, 0);
    // All interfaces, because this one may be renamed.
    const deliver = (frame: BpfFrame): void => (frame.ifp === ifp ? this.#frame(frame) : undefined);
    const desc = bpf.open({ owner: 'pcap', interface: null, direction: 'inout', snaplen: BPF_MAXSNAP, deliver });
    if (isErrno(desc)) throw new BootFailure(1, `--pcap: ${desc}`);
    events.on('ifnet_link_event', (which, state) => (which === ifp ? this.#statistics(`link is ${state}`) : undefined));
  }

  #frame({ timeMs, len, caplen, bytes, dir, flags, drop }: BpfFrame): void {
    const at = this.#writer.packet(0, timeMs, len, caplen);
    this.#writer.bytes.set(bytes.subarray(0, caplen), at);
    this.#writer.endPacket(packetFlags(dir, flags), drop === null ? null : `dropped: ${drop}`);
  }

  /** Totals so far. What the link lost before anybody could see it is in no packet, but here. */
  #statistics(comment: string): void {
    if (this.#ifp === null) return;
    const { ipackets, iqdrops, ierrors, oqdrops, oerrors } = this.#ifp.counters;
    this.#writer.statistics(0, this.#kernel.clock.realtimeMs(), ipackets, iqdrops + ierrors + oqdrops + oerrors, comment);
  }

  #write(bytes: Uint8Array): void {
    if (this.#fd < 0) {
      this.counters.lost++;
      return;
    }
    this.counters.blocks++;
    this.counters.bytes += bytes.length;
    if (this.#used + bytes.length > BUFFER) this.#flush();
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#kernel.effects.yield(this.#flushLater);
  }

  /** A file that cannot be written any more ends the trace, not the boot. */
  #flush(): void {
    const length = this.#used;
    this.#used = 0;
    if (this.#fd < 0) return;
    try {
      for (let at = 0; at < length;) at += fs.writeSync(this.#fd, this.#buffer, at, length - at);
    } catch (error) {
      this.#kernel.log.error({ file: this.#file, err: codeOf(error) }, 'the trace cannot be written any more');
      this.#end();
    }
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#statistics('end of trace');
    this.#flush();
    this.#end();
  }

  #end(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) fs.closeSync(fd);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
