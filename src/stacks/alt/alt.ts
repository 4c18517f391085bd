/**
 * The stack as one object: its slabs, tables and settings. The code is functions over it; a packet's way through them is in README.md.
 * Nothing here is made after start-up. Other files import only the type.
 */
import { InetSockAddrBuf } from '../../wire/addr.ts';
import { IPPROTO_ICMP, IPPROTO_UDP } from '../../wire/ipv4.ts';
import { TcpOptions } from '../../wire/tcp.ts';
import { Callout } from '../../kern/callout.ts';
import type { Log } from '../../kern/effects.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { NETISR_STACK, type NetisrWork } from '../../kern/netisr.ts';
import type { KernTime } from '../../kern/time.ts';
import { Arp } from './arp.ts';
import { Config } from './config.ts';
import { AltCounterSet } from './counters.ts';
import { Dad } from './dad.ts';
import { Demux } from './demux.ts';
import { FLAGS, F_QUEUED, Flows, NEXT, ROW_SHIFT } from './flows.ts';
import { type HashKey, newHashKey } from './hash.ts';
import { Datagram } from './ipout.ts';
import { LoopRing, NetIf } from './netif.ts';
import { Ranges } from './ranges.ts';
import { RateLimit } from './ratelimit.ts';
import { RawSlab } from './raw.ts';
import { Reass } from './reass.ts';
import { Routes } from './route.ts';
import { at } from './slab.ts';
import { newTunePlaces } from './tcp/autotune.ts';
import { TIMEWAIT_WORDS, TimeWait } from './tcp/timewait.ts';
import { UdpSlab } from './udpslab.ts';
import { HOUSEKEEPERS, Wheel } from './wheel.ts';

/** What the network layer read of the packet at hand, and the segment's fields for TCP. One object, filled again for each packet. */
export class PacketIn {
  bytes: Uint8Array = new Uint8Array(0);
  /** Network header; its payload is [off, end). */
  ip = 0;
  off = 0;
  end = 0;
  src = 0;
  dst = 0;
  ttl = 0;
  /** `PKT_*` bits; sent to a group by link or address; segment size of a super-frame; the link has such itself. */
  flags = 0;
  group = false;
  gso = 0;
  superFrames = false;
  /** TCP: local port << 16 | foreign port, and the header's fields; payload is [data, data + len). */
  ports = 0;
  seq = 0;
  ack = 0;
  th = 0;
  win = 0;
  data = 0;
  len = 0;
}

export class Alt {
  readonly kernel: Kernel;
  readonly time: KernTime;
  readonly log: Log;
  /** Transitions of connections: at the level of `tcp`, as in any stack. */
  readonly tcpLog: Log;
  readonly cfg: Config;
  readonly ct = new AltCounterSet();
  readonly pkt = new PacketIn();
  readonly opt = new TcpOptions();
  readonly from = new InetSockAddrBuf();
  readonly icmpOut = new Datagram(IPPROTO_ICMP);
  readonly udpOut = new Datagram(IPPROTO_UDP);
  readonly rawOut = new Datagram(IPPROTO_ICMP);
  /** Keys: of the tables; of sequence numbers, cookies, ports. */
  readonly tableKey: HashKey;
  readonly secretKey: HashKey;
  /** Interfaces by number; 0 is the built-in loopback. */
  readonly ifs: (NetIf | null)[] = [];
  readonly loop: LoopRing;
  readonly routes = new Routes();
  readonly arp: Arp;
  readonly dad: Dad;
  readonly reass: Reass;
  readonly flows: Flows;
  readonly demux: Demux;
  readonly ranges: Ranges;
  readonly timewait: TimeWait;
  readonly udp: UdpSlab;
  readonly raw = new RawSlab();
  readonly wheel: Wheel;
  readonly errLimit: RateLimit;
  /** Receive buffers that are being measured. */
  readonly tune = newTunePlaces();
  /** A flow that `sonewconn` is about to take; -1: none. */
  adopt = -1;
  /** Counts up with each datagram that may be fragmented. */
  ipId = 0;
  portSalt = 0;
  /** Period of the cookies' clock in which the last one was sent; -1: none yet. */
  cookiePeriod = -1;
  /** Runs the list of flows with output; first and last plus 1. */
  readonly work: NetisrWork;
  outHead = 0;
  outTail = 0;
  /** Ended flows whose rows are free again when the present batch is over, so that no code on the stack finds one taken anew. */
  reap = 0;

  constructor(kernel: Kernel, runOutput: (s: Alt) => void, runTimer: (s: Alt, entry: number) => void) {
    const cfg = new Config(kernel);
    this.kernel = kernel;
    this.time = kernel.time;
    this.log = kernel.log.child('alt');
    this.tcpLog = kernel.log.child('tcp');
    this.cfg = cfg;
    this.tableKey = newHashKey(kernel.random);
    this.secretKey = newHashKey(kernel.random);
    this.ipId = kernel.random.u32() & 0xffff;
    this.portSalt = kernel.random.u32() & 0xffff;
    this.flows = new Flows(cfg.flows);
    this.ranges = new Ranges(cfg.ranges);
    this.timewait = new TimeWait(cfg.timewait);
    const { w: flows } = this.flows;
    const { w: records } = this.timewait;
    const rows = { flows, nflows: cfg.flows, records, nrecords: cfg.timewait, recordWords: TIMEWAIT_WORDS };
    this.demux = new Demux(rows, this.tableKey);
    this.udp = new UdpSlab(cfg.udpSockets);
    this.errLimit = new RateLimit();
    const driver = new Callout(kernel.callouts, () => this.wheel.advance(this.time.ms), null);
    this.wheel = new Wheel(cfg.flows + HOUSEKEEPERS, (entry) => runTimer(this, entry), driver);
    this.arp = new Arp(this.tableKey, this.ct.arp);
    this.dad = new Dad(this);
    this.reass = new Reass(this.ct.ip);
    this.loop = new LoopRing(kernel, this.ct.alt);
    this.ifs.push(new NetIf(null, 0, this.loop));
    this.work = { level: NETISR_STACK, queued: false, run: () => runOutput(this) };
  }

  /** Puts a flow on the list of those with output; it runs at the end of the batch. */
  mark(i: number): void {
    const { w } = this.flows;
    const o = i << ROW_SHIFT;
    const flags = at(w, o + FLAGS);
    if ((flags & F_QUEUED) !== 0) return;
    w[o + FLAGS] = flags | F_QUEUED;
    w[o + NEXT] = 0;
    if (this.outTail !== 0) w[((this.outTail - 1) << ROW_SHIFT) + NEXT] = i + 1;
    else this.outHead = i + 1;
    this.outTail = i + 1;
    this.kernel.netisr.schedule(this.work);
  }

  /** Sets one of a flow's deadlines. */
  setTimer(i: number, word: number, delayMs: number): void {
    const now = this.time.ms;
    // Odd, so that it is never the 0 that means none.
    const deadline = (now + delayMs) | 1;
    this.flows.w[(i << ROW_SHIFT) + word] = deadline;
    this.wheel.arm(i, deadline, now);
  }

  /** Wakes a housekeeper in `delayMs`. */
  wakeKeeper(keeper: number, delayMs: number): void {
    this.wheel.arm(this.cfg.flows + keeper, (this.time.ms + delayMs) | 0, this.time.ms);
  }
}
