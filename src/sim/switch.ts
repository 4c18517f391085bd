/**
 * A learning switch (IEEE 802.1D without the spanning tree: the networks of a simulation are trees by construction). It has a port for
 * each cable and no delay of its own; queues and faults are the cables'.
 */
import type { Link, LinkUp } from '../kern/ifnet/link.ts';
import { type RxPacket, TX_HEADROOM, TX_SLOT, type TxPacket } from '../kern/packet.ts';
import { get16, get32 } from '../wire/bytes.ts';
import { ETHER_HDR_LEN, ETHER_SRC, macIsGroup } from '../wire/ethernet.ts';

/** Stations that a switch remembers; frames to others go to all ports. */
const MAX_STATIONS = 4096;
const ROOM = TX_SLOT - TX_HEADROOM;

/** What a switch did with frames. */
export class SwitchCounters {
  forwarded = 0;
  flooded = 0;
  /** The station is where the frame came from; shorter than a header; no slot in a port, or refused by it. */
  filtered = 0;
  runts = 0;
  noslot = 0;
  refused = 0;
}

class Port implements LinkUp {
  readonly link: Link;
  readonly #input: (pkt: RxPacket, from: Port) => void;
  readonly #end: () => void;
  dirty = false;

  constructor(link: Link, input: (pkt: RxPacket, from: Port) => void, end: () => void) {
    this.link = link;
    this.#input = input;
    this.#end = end;
  }

  begin(): void {}

  input(pkt: RxPacket): void {
    this.#input(pkt, this);
  }

  end(): void {
    this.#end();
  }

  dropped(): void {}

  state(): void {}
}

export class Switch {
  readonly counters = new SwitchCounters();
  readonly #ports: Port[] = [];
  /** Where a station was seen last, by its address as a number of 48 bits. */
  readonly #stations = new Map<number, Port>();

  /** Connects an end of a cable. */
  plug(link: Link): void {
    const port = new Port(
      link,
      (pkt, from) => this.#input(pkt, from),
      () => this.#flush(),
    );
    const err = link.start(port) ?? link.setUp(true);
    if (err !== null) throw new Error(`switch: ${err}`);
    this.#ports.push(port);
  }

  #input(pkt: RxPacket, from: Port): void {
    if (pkt.end - pkt.off < ETHER_HDR_LEN) {
      this.counters.runts++;
      return;
    }
    const source = station(pkt.bytes, pkt.off + ETHER_SRC);
    if (this.#stations.size < MAX_STATIONS || this.#stations.has(source)) this.#stations.set(source, from);
    const to = macIsGroup(pkt.bytes, pkt.off) ? undefined : this.#stations.get(station(pkt.bytes, pkt.off));
    if (to === from) {
      this.counters.filtered++;
    } else if (to !== undefined) {
      this.counters.forwarded++;
      this.#send(pkt, to);
    } else {
      this.counters.flooded++;
      for (const port of this.#ports) if (port !== from) this.#send(pkt, port);
    }
  }

  #send(pkt: RxPacket, to: Port): void {
    const tx = this.#slot(to);
    if (tx === null) {
      this.counters.noslot++;
      return;
    }
    const { bytes, off, end } = pkt;
    const head = Math.min(end - off, ROOM);
    tx.bytes.set(bytes.subarray(off, off + head), tx.append(head));
    // The links of a simulation copy in `transmit`: the slice need not outlive this call.
    if (off + head < end) tx.addFrag(bytes, off + head, end - off - head);
    if (to.link.transmit(tx) !== null) this.counters.refused++;
    to.dirty = true;
  }

  #slot(to: Port): TxPacket | null {
    const tx = to.link.txAlloc();
    if (tx !== null) return tx;
    to.link.flush();
    return to.link.txAlloc();
  }

  #flush(): void {
    for (const port of this.#ports) {
      if (!port.dirty) continue;
      port.dirty = false;
      port.link.flush();
    }
  }
}

function station(b: Uint8Array, o: number): number {
  return get16(b, o) * 0x1_0000_0000 + (get32(b, o + 2) >>> 0);
}
