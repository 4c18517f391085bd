/**
 * The smallest thing that answers on a link: ARP, ICMP echo, UDP echo, and a TCP for one connection at a time that sends or takes
 * bulk data. It checks nothing that a test does not look at. Big-endian fields by DataView, so that it shares no code with src/.
 */
import { createHash } from 'node:crypto';
import type { Link, LinkUp } from '../../src/kern/ifnet/link.ts';
import { PKT_CSUM_OK, type RxPacket, TX_CSUM, TX_TSO4, type TxPacket } from '../../src/kern/packet.ts';

const IP = 14;
const L4 = 34;

function sum(view: DataView, off: number, len: number, start: number): number {
  let s = start;
  for (let i = 0; i < len; i += 2) s += i + 1 < len ? view.getUint16(off + i) : view.getUint8(off + i) << 8;
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

export interface Report {
  arp: number;
  icmp: number;
  udp: number;
  tcp: number;
  badsum: number;
  verified: number;
  superIn: number;
  superOut: number;
  noslot: number;
  taken: number;
  sha256: string;
  dropped: Record<string, number>;
}

/** Bytes that a connection to port 19 gets. */
export const BULK = Uint8Array.from({ length: 400_000 }, (_, i) => (i * 7 + (i >>> 9)) & 255);
const MSS = 1460;

export class Responder implements LinkUp {
  readonly report: Report;
  onGone: () => void = () => {};
  readonly #link: Link;
  readonly #mac: Uint8Array;
  readonly #offload: boolean;
  #hash = createHash('sha256');
  /** The bulk connection: next byte to send. */
  #sent = 0;

  constructor(link: Link) {
    this.#link = link;
    this.#mac = link.info().lladdr!;
    this.#offload = link.info().tsoMax > 0;
    this.report = {
      arp: 0,
      icmp: 0,
      udp: 0,
      tcp: 0,
      badsum: 0,
      verified: 0,
      superIn: 0,
      superOut: 0,
      noslot: 0,
      taken: 0,
      sha256: '',
      dropped: {},
    };
  }

  begin(): void {}
  end(): void {
    this.#link.flush();
  }
  dropped(what: string, frames: number): void {
    this.report.dropped[what] = (this.report.dropped[what] ?? 0) + frames;
  }
  state(state: string): void {
    if (state === 'gone') this.onGone();
  }

  input(pkt: RxPacket): void {
    const v = new DataView(pkt.bytes.buffer, pkt.bytes.byteOffset + pkt.off, pkt.end - pkt.off);
    if (v.getUint16(12) === 0x0806 && v.getUint16(20) === 1) this.#arp(pkt, v);
    else if (v.getUint16(12) === 0x0800) this.#ipv4(pkt, v);
  }

  #ipv4(pkt: RxPacket, v: DataView): void {
    const protocol = v.getUint8(IP + 9);
    if (v.byteLength > 1514) this.report.superIn++;
    if ((pkt.flags & PKT_CSUM_OK) !== 0) this.report.verified++;
    else if (
      protocol !== 1 &&
      sum(v, L4, v.getUint16(IP + 2) - 20, sum(v, IP + 12, 8, protocol + v.getUint16(IP + 2) - 20)) !== 0xffff
    )
      this.report.badsum++;
    if (protocol === 1) this.#icmp(pkt, v);
    else if (protocol === 17) this.#udp(pkt, v);
    else if (protocol === 6) this.#tcp(v);
  }

  /** A frame back to where this one came from, with `len` bytes behind the Ethernet header. */
  #reply(v: DataView, len: number, bytes?: Uint8Array): { out: TxPacket; o: DataView } | null {
    const out = this.#link.txAlloc();
    if (out === null) {
      this.report.noslot++;
      return null;
    }
    const at = out.append(Math.min(14 + len, out.room()));
    if (bytes !== undefined) out.bytes.set(bytes.subarray(0, out.end - out.off), at);
    const o = new DataView(out.bytes.buffer, out.bytes.byteOffset + at, out.end - out.off);
    for (let i = 0; i < 6; i++) {
      o.setUint8(i, v.getUint8(6 + i));
      o.setUint8(6 + i, this.#mac[i]!);
    }
    o.setUint16(12, v.getUint16(12));
    return { out, o };
  }

  /** The same packet back, addresses turned round; what does not fit into a slot goes as a slice of a copy. */
  #echo(pkt: RxPacket, v: DataView): { out: TxPacket; o: DataView } | null {
    const bytes = pkt.bytes.slice(pkt.off, pkt.end);
    const r = this.#reply(v, bytes.length - 14, bytes);
    if (r === null) return null;
    const room = r.out.end - r.out.off;
    if (bytes.length > room) r.out.addFrag(bytes, room, bytes.length - room);
    r.o.setUint32(IP + 12, v.getUint32(IP + 16));
    r.o.setUint32(IP + 16, v.getUint32(IP + 12));
    return r;
  }

  #arp(pkt: RxPacket, v: DataView): void {
    const r = this.#reply(v, 28, pkt.bytes.subarray(pkt.off, pkt.off + 42));
    if (r === null) return;
    r.o.setUint16(20, 2);
    for (let i = 0; i < 6; i++) {
      r.o.setUint8(22 + i, this.#mac[i]!);
      r.o.setUint8(32 + i, v.getUint8(22 + i));
    }
    r.o.setUint32(28, v.getUint32(38));
    r.o.setUint32(38, v.getUint32(28));
    this.report.arp++;
    this.#link.transmit(r.out);
  }

  #icmp(pkt: RxPacket, v: DataView): void {
    if (v.getUint8(L4) !== 8) return;
    const r = this.#echo(pkt, v);
    if (r === null) return;
    r.o.setUint8(L4, 0);
    // RFC 1624: the type went from 8 to 0.
    const s = v.getUint16(L4 + 2) + 0x0800;
    r.o.setUint16(L4 + 2, (s & 0xffff) + (s >>> 16));
    this.report.icmp++;
    this.#link.transmit(r.out);
  }

  #udp(pkt: RxPacket, v: DataView): void {
    const r = this.#echo(pkt, v);
    if (r === null) return;
    r.o.setUint16(L4, v.getUint16(L4 + 2));
    r.o.setUint16(L4 + 2, v.getUint16(L4));
    this.report.udp++;
    if (this.#offload) this.#leaveOpen(r.out, r.o, 17, v.getUint16(L4 + 4), 6);
    else r.o.setUint16(L4 + 6, 0);
    this.#link.transmit(r.out);
  }

  /** Leaves the checksum to the host: the field holds the pseudo-header's sum. */
  #leaveOpen(out: TxPacket, o: DataView, protocol: number, len: number, field: number): void {
    o.setUint16(L4 + field, sum(o, IP + 12, 8, protocol + len));
    out.flags |= TX_CSUM;
    out.csumStart = out.off + L4;
    out.csumOffset = field;
  }

  #tcp(v: DataView): void {
    this.report.tcp++;
    const [seq, ack, flags] = [v.getUint32(L4 + 4), v.getUint32(L4 + 8), v.getUint8(L4 + 13)];
    const hdr = (v.getUint8(L4 + 12) >>> 4) * 4;
    const len = v.getUint16(IP + 2) - 20 - hdr;
    if ((flags & 2) !== 0) {
      this.#sent = 0;
      this.#hash = createHash('sha256');
      this.report.taken = 0;
      this.#segment(v, 0x12, 0, seq + 1, 0, 0);
      return;
    }
    if ((flags & 4) !== 0) return;
    if (len > 0) {
      this.#hash.update(new Uint8Array(v.buffer, v.byteOffset + L4 + hdr, len));
      this.report.taken += len;
    }
    const fin = flags & 1;
    if (fin !== 0) this.report.sha256 = this.#hash.copy().digest('hex');
    const port = v.getUint16(L4 + 2);
    // One super-frame at a time: the next when the last is acknowledged.
    if (port === 19 && ack === this.#sent + 1 && this.#sent < BULK.length) this.#bulk(v, seq + len + fin);
    else if (len + fin > 0) this.#segment(v, fin !== 0 ? 0x11 : 0x10, ack, seq + len + fin, 0, 0);
  }

  #bulk(v: DataView, ack: number): void {
    const window = v.getUint16(L4 + 14);
    const n = Math.min(BULK.length - this.#sent, window, this.#offload ? 60_000 : MSS);
    const last = this.#sent + n === BULK.length;
    this.#segment(v, last ? 0x19 : 0x18, this.#sent + 1, ack, this.#sent, n);
    this.#sent += n;
  }

  #segment(v: DataView, flags: number, seq: number, ack: number, from: number, len: number): void {
    const r = this.#reply(v, 40);
    if (r === null) return;
    const { out, o } = r;
    o.setUint32(IP, 0x45000000 + 40 + len);
    o.setUint32(IP + 4, 0x4000);
    o.setUint32(IP + 8, (64 << 24) | (6 << 16));
    o.setUint32(IP + 12, v.getUint32(IP + 16));
    o.setUint32(IP + 16, v.getUint32(IP + 12));
    o.setUint16(IP + 10, ~sum(o, IP, 20, 0) & 0xffff);
    o.setUint16(L4, v.getUint16(L4 + 2));
    o.setUint16(L4 + 2, v.getUint16(L4));
    o.setUint32(L4 + 4, seq >>> 0);
    o.setUint32(L4 + 8, ack >>> 0);
    o.setUint32(L4 + 12, 0x5000ffff + flags * 65536);
    o.setUint32(L4 + 16, 0);
    // Several slices of odd lengths, so that the gathering is tried.
    for (let at = from; at < from + len;) {
      const n = out.nfrags < 3 ? Math.min(333, from + len - at) : from + len - at;
      out.addFrag(BULK, at, n);
      at += n;
    }
    if (this.#offload) this.#leaveOpen(out, o, 6, 20 + len, 16);
    else o.setUint16(L4 + 16, ~sum(o, L4, 20, sum(new DataView(BULK.buffer), from, len, sum(o, IP + 12, 8, 26 + len))) & 0xffff);
    if (len > MSS) {
      out.flags |= TX_TSO4;
      out.gsoSize = MSS;
      this.report.superOut++;
    }
    this.#link.transmit(out);
  }
}
