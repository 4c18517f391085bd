/** The state of TCP in one stack: tables, counters, tunables, and the list of connections that have something to send. */
import type { Log } from '../../../kern/effects.ts';
import type { Kernel } from '../../../kern/kernel.ts';
import { NETISR_STACK, type NetisrWork } from '../../../kern/netisr.ts';
import type { RxPacket } from '../../../kern/packet.ts';
import type { KernTime } from '../../../kern/time.ts';
import { TcpOptions } from '../../../wire/tcp.ts';
import type { InetContext, IpIn, IpOut, NetworkLayer } from '../contract.ts';
import type { CcMethods } from './cc.ts';
import { TcpConfig } from './config.ts';
import { FastOpenState } from './fastopen.ts';
import { type FunctionBlock, FunctionBlocks, ccFor } from './functions.ts';
import { IsnSource } from './isn.ts';
import { ConnTable, PortTable } from './lookup.ts';
import type { Recovery } from './recovery.ts';
import { Remains } from './remains.ts';
import { TcpStats } from './stats.ts';
import { SynCache } from './syncache.ts';
import { TF_DEAD, TF_QUEUED, type Tcb } from './tcb.ts';
import { TimeWait } from './timewait.ts';

/** The segment at hand: filled once per segment, read by everything on the input path. Trimmed in place. */
export class Segment {
  bytes: Uint8Array;
  /** Offset of the TCP header, and of the first byte of data. */
  off = 0;
  data = 0;
  /** Bytes of data. */
  len = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  /** As it came, before anything was cut off: with a SYN; with data or a FIN. */
  syn = false;
  carries = false;
  /** Window as it is in the header. */
  wnd = 0;
  urp = 0;
  /** Segment size of a super-frame, or 0. */
  gsoSize = 0;
  readonly opts = new TcpOptions();
  pkt: RxPacket;
  ip: IpIn;

  constructor(pkt: RxPacket, ip: IpIn) {
    this.pkt = pkt;
    this.ip = ip;
    this.bytes = pkt.bytes;
  }
}

/** What other files plug in, so that none of them imports in a circle. */
export interface TcpParts {
  readonly output: (tcb: Tcb) => void;
  readonly timer: (tcb: Tcb) => void;
  readonly recovery: Recovery;
  /** Function blocks besides the default one, whose recovery is the above. */
  readonly blocks: readonly FunctionBlock[];
  /** Congestion control, by name; made for this stack's tunables. */
  readonly algorithms: (config: TcpConfig) => ReadonlyMap<string, CcMethods>;
}

export class TcpInst {
  readonly ctx: InetContext;
  readonly kernel: Kernel;
  readonly ip: NetworkLayer;
  readonly time: KernTime;
  readonly log: Log;
  readonly stats = new TcpStats();
  readonly config = new TcpConfig();
  readonly conns: ConnTable;
  readonly ports = new PortTable();
  readonly remains = new Remains();
  readonly isn: IsnSource;
  readonly fastopen: FastOpenState;
  readonly timer: (tcb: Tcb) => void;
  readonly functions: FunctionBlocks;
  readonly algorithms: ReadonlyMap<string, CcMethods>;
  /** How segments are sent unless the user asked for something else. */
  readonly how: IpOut = { tos: 0, ttl: 64, df: true };
  /** Budgets of answers that strangers can provoke, and the second they are for; the first one begins at once. */
  readonly limits: { challengeMs: number; challengesLeft: number; rstMs: number; rstsLeft: number };
  readonly syncache: SynCache;
  readonly timewait: TimeWait;
  #outHead: Tcb | null = null;
  #outTail: Tcb | null = null;
  readonly #output: (tcb: Tcb) => void;
  readonly #work: NetisrWork = { level: NETISR_STACK, queued: false, run: () => this.#run() };

  constructor(ctx: InetContext, parts: TcpParts) {
    this.ctx = ctx;
    this.kernel = ctx.kernel;
    this.ip = ctx.ip;
    this.time = ctx.kernel.time;
    this.log = ctx.kernel.log.child('tcp');
    const past = (this.time.ms - 1000) | 0;
    this.limits = { challengeMs: past, challengesLeft: 0, rstMs: past, rstsLeft: 0 };
    this.conns = new ConnTable(ctx.kernel.random);
    this.isn = new IsnSource(ctx.kernel);
    this.fastopen = new FastOpenState(ctx.kernel.random, this.time.ms);
    this.timer = parts.timer;
    this.functions = new FunctionBlocks([{ name: 'default', recovery: parts.recovery, algorithms: null }, ...parts.blocks]);
    this.algorithms = parts.algorithms(this.config);
    this.#output = parts.output;
    this.syncache = new SynCache(this);
    this.timewait = new TimeWait(this);
  }

  /** Congestion control of a new socket with this block. */
  defaultCc(block: FunctionBlock): CcMethods {
    return this.algorithms.get(ccFor(this, block, this.config.ccAlgorithm)) as CcMethods;
  }

  /** Outside a batch the batch's time is old: for calls that come from the user. */
  touch(): void {
    if (!this.kernel.netisr.active()) this.time.refresh();
  }

  /** The connection has something to send, perhaps: it is asked once at the end of the batch. */
  mark(tcb: Tcb): void {
    if ((tcb.flags & (TF_QUEUED | TF_DEAD)) !== 0) return;
    tcb.flags |= TF_QUEUED;
    if (this.#outTail === null) this.#outHead = tcb;
    else this.#outTail.outNext = tcb;
    this.#outTail = tcb;
    this.kernel.netisr.schedule(this.#work);
  }

  /** Its output now and not at the end of the batch: for what would come too late behind a reset, or must not stand for others. */
  flush(tcb: Tcb): void {
    if ((tcb.flags & TF_DEAD) === 0) this.#output(tcb);
  }

  #run(): void {
    for (let tcb = this.#outHead; tcb !== null; tcb = this.#outHead) {
      this.#outHead = tcb.outNext;
      if (this.#outHead === null) this.#outTail = null;
      tcb.outNext = null;
      tcb.flags &= ~TF_QUEUED;
      if ((tcb.flags & TF_DEAD) === 0) this.#output(tcb);
    }
  }
}
