/** One kernel with its wire in the test's hands: segments in, segments out, in words. The peer is 10.0.0.9. */
import { SimWorld } from '../../../../src/kern/effects/sim.ts';
import { get16, get32, get8, put16, put32 } from '../../../../src/wire/bytes.ts';
import { complement, fold, sum16 } from '../../../../src/wire/checksum.ts';
import { ARP_REPLY, putArp } from '../../../../src/wire/arp.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, putEther } from '../../../../src/wire/ethernet.ts';
import { IPPROTO_TCP, putIpv4 } from '../../../../src/wire/ipv4.ts';
import { TcpOptions, parseTcpOptions, putTcp } from '../../../../src/wire/tcp.ts';
import { RawLink } from '../../../support/rawlink.ts';
import { Host, ip } from './host.ts';

export const PEER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);
export const OUR_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);
export const PEER = '10.0.0.9';
export const US = '10.0.0.2';

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export interface Seg {
  sport: number;
  dport: number;
  seq: number;
  ack: number;
  flags: number;
  win: number;
  data: Uint8Array;
  opts: TcpOptions;
}

/** Options as bytes. */
export const mssOpt = (n: number): number[] => [2, 4, n >>> 8, n & 255];
export const wsOpt = (n: number): number[] => [1, 3, 3, n];
export const sackOkOpt = [1, 1, 4, 2];
export const tsOpt = (val: number, ecr: number): number[] => [1, 1, 8, 10, ...word(val), ...word(ecr)];
const word = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];

export function ipFrame(src: string, dst: string, proto: number, payload: Uint8Array, off = 0, id = 7): Uint8Array {
  const b = new Uint8Array(14 + 20 + payload.length);
  putEther(b, 0, OUR_MAC, PEER_MAC, ETHERTYPE_IPV4);
  putIpv4(b, 14, 20 + payload.length, id, off, 0, 64, proto, ip(src), ip(dst));
  b.set(payload, 34);
  return b;
}

export function pseudo(src: string, dst: string, proto: number, len: number): number {
  const s = ip(src);
  const d = ip(dst);
  return fold((s >>> 16) + (s & 0xffff) + (d >>> 16) + (d & 0xffff) + proto + len);
}

export class Wire {
  readonly world: SimWorld;
  readonly host: Host;
  readonly raw: RawLink;

  constructor(env: Record<string, string> = {}, options: { mtu?: number; offload?: boolean; arp?: boolean } = {}) {
    this.world = new SimWorld({ seed: 5 });
    this.host = new Host(this.world, 'us', env);
    this.raw = new RawLink({ lladdr: OUR_MAC, ...options });
    this.host.attach(this.raw.link(), US, 24, 'raw');
    this.world.run(1);
    if (options.arp !== false) this.teach(PEER, PEER_MAC);
    this.raw.take();
  }

  /** An ARP reply to us. */
  teach(addr: string, mac: Uint8Array): void {
    const b = new Uint8Array(14 + 28);
    putEther(b, 0, OUR_MAC, mac, ETHERTYPE_ARP);
    putArp(b, 14, ARP_REPLY, mac, ip(addr), OUR_MAC, ip(US));
    this.raw.inject(b);
  }

  segment(seg: Partial<Seg> & { o?: number[] }, from = PEER): Uint8Array {
    const { sport = 4000, dport = 80, seq = 0, ack = 0, flags = ACK, win = 65535, data = new Uint8Array(0), o = [] } = seg;
    const hdr = 20 + ((o.length + 3) & ~3);
    const t = new Uint8Array(hdr + data.length);
    putTcp(t, 0, sport, dport, seq, ack, hdr, flags, win);
    t.set(o, 20);
    t.set(data, hdr);
    put16(t, 16, complement(sum16(t, 0, t.length, pseudo(from, US, IPPROTO_TCP, t.length))));
    return ipFrame(from, US, IPPROTO_TCP, t);
  }

  /** Segments in, as one batch. */
  put(...segs: (Partial<Seg> & { o?: number[] })[]): this {
    this.raw.inject(segs.map((s) => this.segment(s)));
    this.world.settle();
    return this;
  }

  /** All TCP segments that left since the last call. */
  sent(): Seg[] {
    this.world.settle();
    const segs: Seg[] = [];
    for (const b of this.raw.take()) {
      if (get16(b, 12) !== ETHERTYPE_IPV4 || get8(b, 23) !== IPPROTO_TCP) continue;
      const hdr = (get8(b, 34 + 12) >>> 4) << 2;
      const opts = new TcpOptions();
      parseTcpOptions(b, 54, 34 + hdr, opts);
      const end = 14 + get16(b, 16);
      segs.push({
        sport: get16(b, 34),
        dport: get16(b, 36),
        seq: get32(b, 38),
        ack: get32(b, 42),
        flags: get8(b, 47),
        win: get16(b, 48),
        data: b.slice(34 + hdr, end),
        opts,
      });
    }
    return segs;
  }

  /** The one segment that left. */
  one(): Seg {
    const segs = this.sent();
    if (segs.length !== 1) throw new Error(`${segs.length} segments left, not one`);
    return segs[0] as Seg;
  }

  frames(): Uint8Array[] {
    this.world.settle();
    return this.raw.take();
  }
}

export const text = (s: string): Uint8Array => new TextEncoder().encode(s);
export { get16, get32, get8, put16, put32 };
