/**
 * Between the script's numbers and those on the wire. The remote side is the script, so its sequence numbers and timestamps are on the
 * wire as they are written (the former all moved by `irs`); the stack's are relative to the initial ones that it chose. Ports that a
 * script leaves out are those of the connection that its calls made last.
 */
import { DEFAULT_TTL, IPPROTO_TCP } from '../wire/ipv4.ts';
import { ICMP_ECHO, ICMP_ECHOREPLY, ICMP_UNREACH, ICMP_UNREACH_NEEDFRAG, icmpIsError } from '../wire/icmp.ts';
import { TCP_HDR_LEN, TH_SYN } from '../wire/tcp.ts';
import { UDP_HDR_LEN } from '../wire/udp.ts';
import type { IcmpSpec, IpInfo, PacketSpec, TcpOption, TcpSpec } from './ast.ts';
import { type Addresses, type LiveIcmp, type LivePacket, type LiveTcp, buildQuote, readQuote } from './frame.ts';
import type { Shown } from './print.ts';
import type { Settings } from './settings.ts';

/** Remote port of a connection that the remote side opens, where the script names none. */
const REMOTE_PORT = 40_001;

/** A byte of the `pos`th position of any stream of a script: so that a byte in the wrong place shows. */
export function patternByte(pos: number): number {
  return ((pos % 251) ^ (pos >>> 11)) & 255;
}

export function pattern(pos: number, len: number): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => patternByte(pos + i));
}

export class Flow {
  local: number;
  remote: number;
  /** What the stack's sequence number on the wire is where the script says 0; null before its SYN. */
  iss: number | null = null;
  /** The remote side's SYN, in the script's numbers. */
  irs = 0;
  /** Timestamps of the stack: the first as written and as it came, and all by what the script called them. */
  tsBase: readonly [script: number, live: number] | null = null;
  readonly tsLive = new Map<number, number>();

  constructor(local: number, remote: number) {
    this.local = local;
    this.remote = remote;
  }

  /** The stack's number in the script's terms, and back. */
  toScript(seq: number): number {
    return (seq - (this.iss ?? 0)) >>> 0;
  }
  toLive(seq: number): number {
    return (seq + (this.iss ?? 0)) >>> 0;
  }

  liveEcr(script: number): number {
    const known = this.tsLive.get(script);
    if (known !== undefined) return known;
    return this.tsBase === null ? script : (script - this.tsBase[0] + this.tsBase[1]) >>> 0;
  }

  scriptVal(live: number): number {
    return this.tsBase === null ? live : (live - this.tsBase[1] + this.tsBase[0]) >>> 0;
  }
}

export class Flows {
  readonly #addrs: Addresses;
  readonly #flows: Flow[] = [];
  /** Added to the remote side's numbers on the wire. */
  readonly #irs: number;
  #tcp: Flow;
  #udp: Flow;
  /** Fast Open's cookie that the stack gave last. */
  #cookie: Uint8Array | null = null;
  /** The stack's first initial sequence number; null: none has come. */
  firstIss: number | null = null;
  /** The script wrote bytes of its own, or urgent ones: positions do not say what they are. */
  custom = false;

  constructor(settings: Settings, addrs: Addresses, irs: number) {
    this.#addrs = addrs;
    this.#irs = irs;
    this.#tcp = this.#add(settings.bindPort, REMOTE_PORT);
    this.#udp = new Flow(settings.bindPort, settings.connectPort);
  }

  #add(local: number, remote: number): Flow {
    const flow = new Flow(local, remote);
    this.#flows.push(flow);
    return flow;
  }

  /** A socket was bound; the ports of packets that name none follow. */
  bound(stream: boolean, port: number): void {
    const flow = stream ? this.#tcp : this.#udp;
    if (stream && flow.iss !== null) this.#tcp = this.#add(port, REMOTE_PORT);
    else flow.local = port;
  }

  /** A socket connects: packets without ports are its own from now on. */
  connecting(stream: boolean, local: number, remote: number): void {
    if (stream) this.#tcp = this.#flows.find((f) => f.local === local && f.remote === remote) ?? this.#add(local, remote);
    else this.#udp = new Flow(local, remote);
  }

  /** The flow of a script's packet. */
  of(packet: PacketSpec): Flow {
    if (packet.body.proto !== 'tcp') return packet.body.proto === 'udp' ? this.#udpOf(packet) : this.#icmpFlow(packet.body);
    if (packet.ports === null) return this.#tcp;
    const [local, remote] = packet.dir === 'in' ? [packet.ports[1], packet.ports[0]] : packet.ports;
    return this.#flows.find((f) => f.local === local && f.remote === remote) ?? this.#add(local, remote);
  }

  #udpOf({ ports, dir }: PacketSpec): Flow {
    if (ports === null) return this.#udp;
    return dir === 'in' ? new Flow(ports[1], ports[0]) : new Flow(ports[0], ports[1]);
  }

  #icmpFlow(icmp: IcmpSpec): Flow {
    return icmp.quoted?.proto === 'udp' ? this.#udp : this.#tcp;
  }

  /** The packet as it goes onto the wire. */
  toWire(packet: PacketSpec): LivePacket {
    const { ip, body } = packet;
    const ecn = ip.ecn === 'ect01' ? 2 : (ip.ecn ?? 0);
    const head = { tos: ip.tos ?? ecn, ttl: ip.ttl ?? DEFAULT_TTL, df: true };
    const flow = this.of(packet);
    switch (body.proto) {
      case 'udp':
        return { ...head, body: { proto: 'udp', sport: flow.remote, dport: flow.local, payload: pattern(0, body.len) } };
      case 'icmp':
        return { ...head, body: this.#icmpToWire(body, flow) };
      case 'tcp':
        return { ...head, body: tcpToWire(body, flow, this.#irs, this.#cookie) };
    }
  }

  #icmpToWire(icmp: IcmpSpec, flow: Flow): LiveIcmp {
    const { type, code } = icmp;
    const rest = ((icmp.id ?? 0) * 0x10000 + (icmp.seq ?? 0) + (icmp.mtu ?? 0)) >>> 0;
    // An error is always about a packet: packetdrill's is the connection's first where the script names none.
    const first = icmpIsError(type) && icmp.len === 0 ? ({ proto: 'tcp', seq: 0, len: 0 } as const) : null;
    const quoted = icmp.quoted ?? first;
    if (quoted === null) return { proto: 'icmp', type, code, rest, payload: pattern(0, icmp.len) };
    const seq = quoted.proto === 'tcp' ? flow.toLive(quoted.seq) : 0;
    return { proto: 'icmp', type, code, rest, payload: buildQuote(this.#addrs, quoted, flow.local, flow.remote, seq) };
  }

  /** Learns from a packet of the stack what the script's packet says of it: the initial sequence number, and timestamps. */
  learn(spec: TcpSpec, live: LiveTcp, flow: Flow): void {
    if ((live.flags & TH_SYN) !== 0 && (spec.flags & TH_SYN) !== 0) flow.iss = (live.seq - spec.seq) >>> 0;
    this.firstIss ??= flow.iss;
    for (const o of live.options)
      if (o.kind === 'fo' && o.cookie instanceof Uint8Array && o.cookie.length > 0) this.#cookie = o.cookie;
    const said = spec.options?.find((o) => o.kind === 'ts');
    const came = live.options.find((o) => o.kind === 'ts');
    if (said?.kind !== 'ts' || came?.kind !== 'ts' || said.val === null || came.val === null) return;
    if (flow.tsBase === null || (live.flags & TH_SYN) !== 0) flow.tsBase = [said.val, came.val];
    flow.tsLive.set(said.val, came.val);
  }

  /** A packet of the stack as the script would write it. */
  toScript(packet: LivePacket, flow: Flow): Shown {
    const { body } = packet;
    const ip: IpInfo = { ecn: packet.tos & 3, tos: null, ttl: null };
    if (body.proto === 'udp') return { ip, body: { proto: 'udp', len: body.payload.length } };
    if (body.proto === 'icmp') return { ip, body: this.#icmpToScript(body, flow) };
    const { flags, win, urg } = body;
    const remote = (seq: number): number => (seq - this.#irs) >>> 0;
    const options = body.options.map((o): TcpOption => {
      if (o.kind === 'ts' && o.val !== null) return { ...o, val: flow.scriptVal(o.val) };
      return o.kind === 'sack' ? { ...o, blocks: o.blocks.map(([l, r]) => [remote(l), remote(r)] as const) } : o;
    });
    const numbers = { seq: flow.toScript(body.seq), len: body.payload.length, ack: remote(body.ack) };
    return { ip, body: { proto: 'tcp', flags, win, urg, options, ...numbers } };
  }

  #icmpToScript(icmp: LiveIcmp, flow: Flow): IcmpSpec {
    const { type, code, rest, payload } = icmp;
    const none = { proto: 'icmp', type, code, mtu: null, id: null, seq: null, len: 0, quoted: null } as const;
    if (type === ICMP_ECHO || type === ICMP_ECHOREPLY)
      return { ...none, id: rest >>> 16, seq: rest & 0xffff, len: payload.length };
    if (!icmpIsError(type)) return { ...none, len: payload.length };
    const mtu = type === ICMP_UNREACH && code === ICMP_UNREACH_NEEDFRAG ? rest & 0xffff : null;
    const quote = readQuote(payload);
    if (quote === null) return { ...none, mtu };
    if (quote.proto !== IPPROTO_TCP) return { ...none, mtu, quoted: { proto: 'udp', len: quote.len - UDP_HDR_LEN } };
    return { ...none, mtu, quoted: { proto: 'tcp', seq: flow.toScript(quote.word), len: quote.len - TCP_HDR_LEN } };
  }

  /** What is wrong with the bytes of a segment of the stack, or null. */
  checkBytes(live: LiveTcp, flow: Flow): string | null {
    if (this.custom || flow.iss === null) return null;
    const first = (live.seq + ((live.flags & TH_SYN) !== 0 ? 1 : 0) - flow.iss - 1) >>> 0;
    if (first > 0x7fffffff) return null;
    const wrong = live.payload.findIndex((b, i) => b !== patternByte(first + i));
    return wrong < 0 ? null : `byte ${first + wrong} of the stream is not the one that was written`;
  }
}

function tcpToWire(spec: TcpSpec, flow: Flow, irs: number, given: Uint8Array | null): LiveTcp {
  if ((spec.flags & TH_SYN) !== 0) flow.irs = spec.seq;
  const first = (spec.seq + ((spec.flags & TH_SYN) !== 0 ? 1 : 0) - flow.irs - 1) >>> 0;
  const options = (spec.options ?? []).map((o): TcpOption => {
    if (o.kind === 'ts') return { ...o, ecr: flow.liveEcr(o.ecr ?? 0) };
    if (o.kind === 'sack') return { ...o, blocks: o.blocks.map(([l, r]) => [flow.toLive(l), flow.toLive(r)] as const) };
    if ((o.kind === 'fo' || o.kind === 'foexp') && o.cookie === 'given') {
      if (given === null) throw new Error('TFO_COOKIE is the last cookie that the stack gave, and it has given none');
      return { ...o, cookie: given };
    }
    return o;
  });
  return {
    proto: 'tcp',
    sport: flow.remote,
    dport: flow.local,
    flags: spec.flags,
    seq: (spec.seq + irs) >>> 0,
    ack: spec.ack === null ? 0 : flow.toLive(spec.ack),
    win: spec.win ?? 0,
    urg: spec.urg ?? 0,
    options,
    payload: pattern(first, spec.len),
  };
}
