/**
 * Packets in, packets out, at stated virtual times: a kernel with a stack on one link, and the test at the other end of it. The stack is
 * 10.0.0.2, the test 10.0.0.1. Sequence numbers are relative: a segment's own to its sender's initial one, its ACK to the
 * receiver's; so the SYN is 0 and the first byte 1 on both sides.
 */
import { expect } from 'vitest';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { type Result, isErrno } from '../../src/kern/errno.ts';
import type { Ifnet } from '../../src/kern/ifnet/ifnet.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { PKT_BACKLOG, PKT_CSUM_OK, TX_CSUM } from '../../src/kern/packet.ts';
import { soaccept, sobind, soclose, soconnect, socreate, sogetopt, solisten, soshutdown } from '../../src/kern/socket/calls.ts';
import { soreceive, sosend } from '../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_STREAM, type SockOpt } from '../../src/kern/socket/protosw.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import type { TcpInfo } from '../../src/stacks/inet/tcp/info.ts';
import { TCP_INFO } from '../../src/stacks/inet/tcp/sockopts.ts';
import { netmodModule } from '../../src/stacks/inet/module.ts';
import { ipv4, sockAddr } from '../../src/wire/addr.ts';
import { ifconfig } from '../support/ifconfig.ts';
import { RawLink } from '../support/rawlink.ts';
import {
  type FrameSpec,
  type SegmentOptions,
  type TcpSegment,
  type TcpSegmentSpec,
  answerArp,
  buildIp,
  buildSegment,
  buildUnreachable,
  parseSegment,
} from '../support/segments.ts';

export const STACK_IP = 0x0a000002;
export const PEER_IP = 0x0a000001;
export const STACK_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);
export const PEER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const IPPROTO_TCP = 6;

export function ok<T>(r: Result<T>): T {
  if (isErrno(r)) throw new Error(`unexpected ${r}`);
  return r as T;
}

/** `n` bytes that repeat with a prime period. */
export function bytes(n: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => ((from + i) % 251) ^ ((from + i) >> 11));
}

export interface HarnessOptions {
  readonly stack?: () => ModuleSpec;
  readonly mtu?: number;
  readonly offload?: boolean;
  readonly lro?: 'link' | 'driver' | 'none';
  readonly slots?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly seed?: number;
  readonly startMs?: number;
  /** Added to the initial sequence numbers of all peers. */
  readonly shift?: number;
}

/** What a test says of a segment; what it leaves out is as the peer stands. */
export interface Say {
  /** Letters of FSRPAUECN. Default `A`. */
  flags?: string;
  seq?: number;
  ack?: number;
  win?: number;
  data?: Uint8Array | number | string;
  opts?: SegmentOptions;
  urp?: number;
  gsoSize?: number;
  frame?: FrameSpec;
  src?: number;
  tos?: number;
}

/** What a test expects of a segment; what it leaves out may be anything, but `data` is then empty. */
export interface Want {
  flags?: string;
  seq?: number;
  ack?: number;
  win?: number;
  len?: number;
  data?: Uint8Array | string;
  urp?: number;
  gsoSize?: number;
}

/** A segment as it came, numbers relative. */
export interface Got extends TcpSegment {
  /** When it left, in virtual milliseconds. */
  readonly ms: number;
  readonly gsoSize: number;
}

const text = (s: string): Uint8Array => new TextEncoder().encode(s);

export class TcpHarness {
  readonly sim: SimWorld;
  readonly kernel: Kernel;
  readonly link: RawLink;
  readonly ifp: Ifnet;
  readonly #queue: { seg: TcpSegment; ms: number; gsoSize: number }[] = [];
  readonly #mss: number;
  readonly #shift: number;
  /** The link says of what is injected that it has more waiting. */
  backlog = false;
  #nextPort = 40_000;

  constructor(options: HarnessOptions = {}) {
    const {
      stack = () => netmodModule,
      mtu = 1500,
      offload = false,
      lro = 'none',
      env = {},
      seed = 1,
      startMs = 0,
      slots = 64,
    } = options;
    this.sim = new SimWorld({ seed, startMs });
    this.kernel = new Kernel(this.sim.effects('stack'), env);
    const err = this.kernel.modules.preload(stack()) ?? this.kernel.boot();
    if (err !== null) throw new Error(err.message);
    this.link = new RawLink({ lladdr: STACK_MAC, mtu, offload, lro, slots });
    this.ifp = ok(this.kernel.ifnets.attach('raw', 0, this.link.link()));
    ifconfig(this.kernel, this.ifp, '10.0.0.2/24');
    this.#mss = mtu - 40;
    this.#shift = options.shift ?? 0;
    // The stack learns the way back before the first test segment.
    this.#resolve();
  }

  #resolve(): void {
    const request = new Uint8Array(42);
    request.fill(255, 0, 6);
    request.set(PEER_MAC, 6);
    request.set([8, 6, 0, 1, 8, 0, 6, 4, 0, 1], 12);
    request.set(PEER_MAC, 22);
    new DataView(request.buffer).setUint32(28, PEER_IP);
    new DataView(request.buffer).setUint32(38, STACK_IP);
    this.link.inject(request);
    this.run(0);
    this.#queue.length = 0;
  }

  close(): void {
    this.kernel.shutdown();
  }

  /** Virtual time passes. */
  run(ms: number): void {
    this.sim.settle();
    this.#drain();
    const end = this.sim.nowMs() + ms;
    while (this.sim.nowMs() < end) {
      // Small steps, so that each segment's time is known.
      this.sim.run(1);
      this.#drain();
    }
  }

  #drain(): void {
    this.sim.settle();
    for (const frame of this.link.takeAll()) {
      const arp = answerArp(frame.bytes, PEER_MAC);
      if (arp !== null) {
        this.link.inject(arp);
        continue;
      }
      const seg = parseSegment(frame.bytes, (frame.flags & TX_CSUM) !== 0);
      if (seg !== null) this.#queue.push({ seg, ms: this.sim.nowMs(), gsoSize: frame.gsoSize });
    }
  }

  /** Frames to the stack as one batch. */
  inject(frames: readonly { bytes: Uint8Array; gsoSize?: number }[]): void {
    this.link.up?.begin();
    for (const { bytes: frame, gsoSize = 0 } of frames) {
      const { rx } = this.link;
      rx.bytes = frame.slice();
      rx.off = 0;
      rx.end = frame.length;
      rx.flags = (gsoSize > 0 ? PKT_CSUM_OK : 0) | (this.backlog ? PKT_BACKLOG : 0);
      rx.gsoSize = gsoSize;
      this.link.up?.input(rx);
      rx.bytes.fill(0xdb);
    }
    this.link.up?.end();
    this.#drain();
  }

  /** The next segment that the stack has sent, or null. */
  next(): { seg: TcpSegment; ms: number; gsoSize: number } | null {
    this.#drain();
    return this.#queue.shift() ?? null;
  }

  /** Puts a segment back that was looked at. */
  unget(got: { seg: TcpSegment; ms: number; gsoSize: number }): void {
    this.#queue.unshift(got);
  }

  recvNothing(): void {
    this.#drain();
    expect(this.#queue.map(({ seg }) => `${seg.flags} seq ${seg.seq} ack ${seg.ack} len ${seg.data.length}`)).toEqual([]);
  }

  /** Counters of TCP. */
  stat(name: string, group = 'tcp'): number {
    return this.kernel.counters.get(group, name) ?? 0;
  }

  sysctl(name: string, value: number | boolean | string): void {
    const r = this.kernel.sysctl.write(`net.inet.tcp.${name}`, value);
    if (isErrno(r)) throw new Error(`${name}: ${r}`);
  }

  socket(): Socket {
    return ok(socreate(this.kernel, AF_INET, SOCK_STREAM, 0, null));
  }

  /** A listening socket. */
  listen(port = 80, backlog = 8): Socket {
    const so = this.socket();
    expect(sobind(so, sockAddr(ipv4(0), port))).toBeNull();
    expect(solisten(so, backlog)).toBeNull();
    return so;
  }

  /** The test's end of a connection that is not yet begun. */
  peer(lport = 80, iss = 1000): Peer {
    return new Peer(this, lport, this.#nextPort++, (iss + this.#shift) | 0, this.#mss);
  }

  /** SYN-SENT: the stack connects, and its SYN has come. */
  synSent(port = 8080, prepare: (so: Socket) => void = () => undefined): Peer {
    const so = this.socket();
    prepare(so);
    expect(soconnect(so, sockAddr(ipv4(PEER_IP), port))).toBe('EINPROGRESS');
    const got = this.next();
    if (got === null) throw new Error('no SYN');
    const peer = new Peer(this, got.seg.sport, port, (5000 + this.#shift) | 0, this.#mss);
    peer.so = so;
    peer.irs = got.seg.seq;
    peer.syn = got.seg;
    return peer;
  }

  /** ESTABLISHED by an active open. */
  connected(opts: SegmentOptions = { mss: 1460 }, say: Say = {}, prepare?: (so: Socket) => void): Peer {
    const p = this.synSent(8080, prepare);
    p.takeTs(p.syn as TcpSegment);
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: p.withTs(opts), ...say });
    p.nxt = 1;
    p.recv({ flags: 'A', seq: 1, ack: 1 });
    return p;
  }

  /** SYN-RECEIVED: a listener has answered the test's SYN. */
  synReceived(opts: SegmentOptions = { mss: 1460 }, listener: Socket | null = null, iss = 1000): Peer {
    const head = listener ?? this.listen();
    const p = this.peer(80, iss);
    p.listener = head;
    p.send({ flags: 'S', seq: 0, opts: p.withTs(opts) });
    const got = this.next();
    if (got === null) throw new Error('no SYN,ACK');
    expect(got.seg.flags).toBe('SA');
    p.irs = got.seg.seq;
    p.syn = got.seg;
    p.takeTs(got.seg);
    p.nxt = 1;
    return p;
  }

  /** ESTABLISHED by a passive open, and accepted. */
  established(opts: SegmentOptions = { mss: 1460 }, listener: Socket | null = null, iss = 1000): Peer {
    const p = this.synReceived(opts, listener, iss);
    p.send({ ack: 1 });
    p.so = ok(soaccept(p.listener as Socket));
    return p;
  }

  closeWait(): Peer {
    const p = this.established();
    p.send({ flags: 'FA' });
    p.nxt = 2;
    p.recv({ flags: 'A', seq: 1, ack: 2 });
    return p;
  }

  finWait1(): Peer {
    const p = this.established();
    expect(soshutdown(p.socket(), 'wr')).toBeNull();
    p.recv({ flags: 'FA', seq: 1, ack: 1 });
    return p;
  }

  finWait2(): Peer {
    const p = this.finWait1();
    p.send({ ack: 2 });
    return p;
  }

  closing(): Peer {
    const p = this.finWait1();
    p.send({ flags: 'FA', ack: 1 });
    p.nxt = 2;
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    return p;
  }

  lastAck(): Peer {
    const p = this.closeWait();
    expect(soshutdown(p.socket(), 'wr')).toBeNull();
    p.recv({ flags: 'FA', seq: 1, ack: 2 });
    return p;
  }

  timeWait(): Peer {
    const p = this.finWait2();
    p.send({ flags: 'FA', ack: 2 });
    p.nxt = 2;
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    return p;
  }
}

/** One end of one connection, played by the test. */
export class Peer {
  readonly t: TcpHarness;
  readonly lport: number;
  readonly fport: number;
  /** The test's initial sequence number, and the stack's. */
  readonly iss: number;
  irs = 0;
  /** Defaults of `send`: the test's next sequence number, its ACK, its window. */
  nxt = 0;
  ack = 0;
  win = 65_535;
  so: Socket | null = null;
  listener: Socket | null = null;
  /** The stack's SYN. */
  syn: TcpSegment | null = null;
  /** Timestamps: what the test's clock shows at virtual time 0, and the last value that came. */
  tsBase: number | null = null;
  tsEcho = 0;
  readonly mss: number;

  constructor(t: TcpHarness, lport: number, fport: number, iss: number, mss: number) {
    this.t = t;
    this.lport = lport;
    this.fport = fport;
    this.iss = iss;
    this.mss = mss;
  }

  socket(): Socket {
    if (this.so === null) throw new Error('no socket');
    return this.so;
  }

  /** `opts` with the test's present timestamp, where timestamps are used. */
  withTs(opts: SegmentOptions): SegmentOptions {
    if (opts.ts !== undefined && this.tsBase === null) this.tsBase = opts.ts[0];
    if (this.tsBase === null) return opts;
    return { ...opts, ts: [this.tsBase + this.t.sim.nowMs(), this.tsEcho] };
  }

  takeTs(seg: TcpSegment): void {
    if (seg.opts.ts !== undefined) this.tsEcho = seg.opts.ts[0];
  }

  frame(say: Say): { bytes: Uint8Array; gsoSize: number } {
    const {
      flags = 'A',
      seq = this.nxt,
      ack = this.ack,
      win = this.win,
      opts = {},
      urp = 0,
      gsoSize = 0,
      src = PEER_IP,
      tos = 0,
    } = say;
    const data = typeof say.data === 'number' ? bytes(say.data, seq) : typeof say.data === 'string' ? text(say.data) : say.data;
    const spec: TcpSegmentSpec = {
      src,
      tos,
      dst: STACK_IP,
      sport: this.fport,
      dport: this.lport,
      seq: this.iss + seq,
      ack: flags.includes('A') ? this.irs + ack : 0,
      flags,
      win,
      urp,
      opts: opts.ts !== undefined || opts.raw !== undefined || flags.includes('S') ? opts : this.withTs(opts),
      ...(data === undefined ? {} : { data }),
    };
    return { bytes: buildSegment(spec, { etherDst: STACK_MAC, etherSrc: PEER_MAC, ...say.frame }), gsoSize };
  }

  /** Sends a segment. `nxt` and `ack` move with it where it goes beyond them. */
  send(say: Say): void {
    this.sendBatch(say);
  }

  /** Several segments in one batch. */
  sendBatch(...says: Say[]): void {
    const frames = says.map((say) => this.frame(say));
    for (const say of says) {
      if (say.ack !== undefined && say.flags?.includes('R') !== true) this.ack = Math.max(this.ack, say.ack);
    }
    this.t.inject(frames);
  }

  /** Data in order: sends it and moves on. */
  sendData(data: Uint8Array | number | string, say: Say = {}): void {
    const len = typeof data === 'number' ? data : data.length;
    const seq = this.nxt;
    this.nxt += len;
    this.send({ flags: 'PA', seq, data, ...say });
  }

  /** The next segment of this connection, with what is expected of it. */
  recv(want: Want = {}): Got {
    const got = this.t.next();
    if (got === null) throw new Error(`expected ${JSON.stringify(want)}, but nothing was sent`);
    const { seg } = got;
    const rel: Got = {
      ...seg,
      seq: (seg.seq - this.irs) | 0,
      ack: seg.flags.includes('A') ? (seg.ack - this.iss) | 0 : 0,
      ms: got.ms,
      gsoSize: got.gsoSize,
    };
    const actual: Record<string, unknown> = { sport: rel.sport, dport: rel.dport };
    const expected: Record<string, unknown> = { sport: this.lport, dport: this.fport };
    for (const key of ['flags', 'seq', 'ack', 'win', 'urp', 'gsoSize'] as const) {
      if (want[key] === undefined) continue;
      actual[key] = rel[key];
      expected[key] = want[key];
    }
    const data = typeof want.data === 'string' ? text(want.data) : want.data;
    actual['len'] = rel.data.length;
    expected['len'] = data !== undefined ? data.length : (want.len ?? 0);
    expect(actual).toEqual(expected);
    if (data !== undefined) expect(Buffer.compare(rel.data, data)).toBe(0);
    this.takeTs(seg);
    return rel;
  }

  /** Everything that was sent, in order; numbers relative. */
  recvAll(): Got[] {
    const out: Got[] = [];
    for (let got = this.t.next(); got !== null; got = this.t.next()) {
      const { seg } = got;
      out.push({ ...seg, seq: (seg.seq - this.irs) | 0, ack: (seg.ack - this.iss) | 0, ms: got.ms, gsoSize: got.gsoSize });
      this.takeTs(seg);
    }
    return out;
  }

  recvNothing(): void {
    this.t.recvNothing();
  }

  /** Runs until the next segment comes, at most `maxMs`; it is then `recv`'s. Answers how long that took. */
  wait(maxMs: number): number {
    const start = this.t.sim.nowMs();
    for (;;) {
      const got = this.t.next();
      if (got !== null) {
        this.t.unget(got);
        return this.t.sim.nowMs() - start;
      }
      if (this.t.sim.nowMs() - start >= maxMs) throw new Error(`nothing was sent in ${maxMs} ms`);
      this.t.run(1);
    }
  }

  // What the user of the socket does.

  write(data: Uint8Array | number | string): number {
    const b = typeof data === 'number' ? bytes(data) : typeof data === 'string' ? text(data) : data;
    return ok(sosend(this.socket(), b, 0, b.length));
  }

  read(max = 1 << 20): Result<Uint8Array> {
    const buf = new Uint8Array(max);
    const n = soreceive(this.socket(), buf, 0, max, 0);
    return isErrno(n) ? n : buf.slice(0, n);
  }

  userClose(): void {
    expect(soclose(this.socket())).toBeNull();
  }

  setopt(level: number, name: number, value: unknown): void {
    expect(sosetopt(this.socket(), { dir: 'set', level, name, value })).toBeNull();
  }

  info(): TcpInfo {
    const sopt: SockOpt = { dir: 'get', level: IPPROTO_TCP, name: TCP_INFO, value: null };
    expect(sogetopt(this.socket(), sopt)).toBeNull();
    return sopt.value as TcpInfo;
  }

  /** CLOSED too where the stack has forgotten the connection. */
  state(): string {
    const sopt: SockOpt = { dir: 'get', level: IPPROTO_TCP, name: TCP_INFO, value: null };
    const err = sogetopt(this.socket(), sopt);
    if (err === 'EINVAL') return 'CLOSED';
    expect(err).toBeNull();
    return (sopt.value as TcpInfo).state;
  }

  /** ICMP "unreachable" that quotes a segment of the stack's with this sequence number (relative). */
  sendUnreachable(code: number, seq: number, mtu = 0, len = 40): void {
    const quoted = buildSegment({
      data: new Uint8Array(len - 40),
      src: STACK_IP,
      dst: PEER_IP,
      sport: this.lport,
      dport: this.fport,
      seq: this.irs + seq,
      ack: this.iss,
      flags: 'A',
    }).subarray(14, 14 + 28);
    const icmp = buildUnreachable(code, mtu, quoted);
    this.t.inject([{ bytes: buildIp(PEER_IP, STACK_IP, 1, icmp, { etherDst: STACK_MAC, etherSrc: PEER_MAC }) }]);
  }
}
