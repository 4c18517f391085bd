/**
 * TCP (RFC 9293) of the tiny stack, by stop and wait: one segment is in flight, sent again every 200 ms and then less often until it is
 * acknowledged; what comes out of order is dropped and comes again. No options but MSS, no congestion control (one segment needs none).
 */
import {
  Callout,
  type Errno,
  IPPROTO_TCP,
  type InetSockAddr,
  PKT_CSUM_OK,
  PR_CONNREQUIRED,
  PR_WANTRCVD,
  type ProtoMethods,
  type Protosw,
  type RxPacket,
  SOCK_STREAM,
  SO_LINGER,
  SO_REUSEADDR,
  type SockAddr,
  type Socket,
  TCPOPT_MSS,
  TCP_ACK,
  TCP_DPORT,
  TCP_FLAGS,
  TCP_HDR_LEN,
  TCP_SEQ,
  TCP_SUM,
  TCP_WIN,
  TH_ACK,
  TH_FIN,
  TH_PUSH,
  TH_RST,
  TH_SYN,
  TcpOptions,
  bindObject,
  complement,
  defineClass,
  get16,
  get32,
  get8,
  ipv4,
  parseTcpOptions,
  protoInterface,
  pseudoSum,
  put16,
  put32,
  putTcp,
  seqGt,
  seqLt,
  sockAddr,
  socantrcvmore,
  soisconnected,
  soisconnecting,
  soisdisconnected,
  soisdisconnecting,
  sonewconn,
  sorcv,
  sorcvspace,
  soseterror,
  sosnddrop,
  sum16,
  tcpHdrLen,
} from 'netmod/kit';
import type { TinyStack } from './tiny.ts';

const MSS = 1460;
const RTO_MS = 200;
const RTO_MAX_MS = 10_000;
const MAX_TRIES = 15;
/** How long a closed end answers its peer's last FIN, and how long it waits for one. */
const TIME_WAIT_MS = 1_000;
const FIN_WAIT_MS = 60_000;
/** Answers to segments that cannot be right, in this time. */
const MAX_CHALLENGES = 20;
const CHALLENGE_MS = 100;

type State = 'closed' | 'listen' | 'syn-sent' | 'syn-rcvd' | 'open' | 'time-wait';

class Tcb {
  readonly so: Socket;
  readonly timer: Callout<Tcb>;
  state: State = 'closed';
  laddr = 0;
  lport = 0;
  raddr = 0;
  rport = 0;
  sndUna = 0;
  sndNxt = 0;
  sndWnd = 0;
  rcvNxt = 0;
  /** The window that the peer was last told. */
  told = 0;
  mss = 536;
  tries = 0;
  /** The user will send no more; the FIN is in flight or acknowledged; the peer's has come. */
  finWanted = false;
  finSent = false;
  finAcked = false;
  finRcvd = false;
  /** The user is gone. */
  orphan = false;
  nodelay = 0;

  constructor(so: Socket, tcp: TinyTcp) {
    this.so = so;
    this.timer = new Callout<Tcb>(tcp.stack.kernel.callouts, (tcb) => tcp.timeout(tcb), this);
  }
}

const tcbOf = (so: Socket): Tcb => so.pcb as Tcb;

export class TinyTcp {
  readonly stack: TinyStack;
  readonly tcbs = new Set<Tcb>();
  readonly #options = new TcpOptions();
  #challenges = 0;
  #challengeMs = 0;

  constructor(stack: TinyStack) {
    this.stack = stack;
  }

  busy(): boolean {
    return [...this.tcbs].some((tcb) => tcb.state === 'open' && tcb.orphan);
  }

  // --- in

  input({ bytes, off, end, flags: pktFlags }: RxPacket, src: number, dst: number): void {
    const { count } = this.stack;
    count.tcpin++;
    const len = end - off;
    const hdrLen = len < TCP_HDR_LEN ? 0 : tcpHdrLen(bytes, off);
    const summed = (pktFlags & PKT_CSUM_OK) === 0;
    const sumOk = !summed || sum16(bytes, off, len, pseudoSum(ipv4(src), ipv4(dst), IPPROTO_TCP, len)) === 0xffff;
    if (hdrLen < TCP_HDR_LEN || hdrLen > len || !sumOk || !this.stack.isLocal(dst)) {
      count.tcpbad++;
      return;
    }
    const rport = get16(bytes, off);
    const lport = get16(bytes, off + TCP_DPORT);
    const flags = get8(bytes, off + TCP_FLAGS);
    const seq = get32(bytes, off + TCP_SEQ);
    const ack = get32(bytes, off + TCP_ACK);
    parseTcpOptions(bytes, off + TCP_HDR_LEN, off + hdrLen, this.#options);
    const tcb = this.#find(dst, lport, src, rport);
    if (tcb === null) {
      count.tcpnoport++;
      const seglen = len - hdrLen + ((flags & TH_SYN) !== 0 ? 1 : 0) + ((flags & TH_FIN) !== 0 ? 1 : 0);
      if ((flags & TH_RST) === 0) this.#reset(dst, lport, src, rport, flags, seq + seglen, ack);
      return;
    }
    if (tcb.state === 'listen') this.#listenInput(tcb, dst, src, rport, flags, seq, ack, get16(bytes, off + TCP_WIN));
    else this.#segment(tcb, flags, seq, ack, get16(bytes, off + TCP_WIN), bytes, off + hdrLen, end);
  }

  #find(laddr: number, lport: number, raddr: number, rport: number): Tcb | null {
    let listener: Tcb | null = null;
    for (const tcb of this.tcbs) {
      if (tcb.lport !== lport || (tcb.laddr !== 0 && tcb.laddr !== laddr)) continue;
      if (tcb.state === 'listen') listener = tcb;
      else if (tcb.raddr === raddr && tcb.rport === rport && tcb.state !== 'closed') return tcb;
    }
    return listener;
  }

  #listenInput(
    head: Tcb,
    laddr: number,
    raddr: number,
    rport: number,
    flags: number,
    seq: number,
    ack: number,
    win: number,
  ): void {
    if ((flags & TH_RST) !== 0) return;
    if ((flags & TH_ACK) !== 0 || (flags & TH_SYN) === 0) {
      if ((flags & TH_ACK) !== 0) this.#reset(laddr, head.lport, raddr, rport, flags, seq, ack);
      this.stack.count.tcpdrop++;
      return;
    }
    const queue = head.so.listen;
    // A SYN more than may wait is dropped and comes again; what waits already is kept.
    const so = queue === null || queue.incqlen() >= Math.max(queue.qlimit, 1) ? null : sonewconn(head.so);
    if (so === null) {
      this.stack.count.tcpdrop++;
      return;
    }
    const tcb = tcbOf(so);
    Object.assign(tcb, { laddr, lport: head.lport, raddr, rport, nodelay: head.nodelay });
    this.#begin(tcb, 'syn-rcvd');
    tcb.rcvNxt = (seq + 1) | 0;
    tcb.sndWnd = win;
    this.#takeMss(tcb);
    this.#resend(tcb);
  }

  #begin(tcb: Tcb, state: State): void {
    tcb.state = state;
    tcb.sndUna = this.stack.kernel.random.u32() | 0;
    tcb.sndNxt = (tcb.sndUna + 1) | 0;
  }

  #takeMss(tcb: Tcb): void {
    const mtu = this.stack.route(tcb.raddr)?.ifp.mtu() ?? 576;
    tcb.mss = Math.min(MSS, mtu - 40, this.#options.mss === 0 ? 536 : this.#options.mss);
  }

  #segment(
    tcb: Tcb,
    flags: number,
    seq: number,
    ack: number,
    win: number,
    bytes: Uint8Array,
    dataOff: number,
    end: number,
  ): void {
    const acked = (flags & TH_ACK) !== 0;
    if (tcb.state === 'syn-sent') {
      if (acked && ack !== tcb.sndNxt) {
        if ((flags & TH_RST) === 0) this.#send(tcb, TH_RST, ack, 0, 0);
        return;
      }
      if ((flags & TH_RST) !== 0) {
        if (acked) this.#drop(tcb, 'ECONNREFUSED');
        return;
      }
      if ((flags & TH_SYN) === 0) return;
      tcb.rcvNxt = (seq + 1) | 0;
      this.#takeMss(tcb);
      if (!acked) {
        // Simultaneous open: our SYN goes again, with an acknowledgment of theirs.
        tcb.state = 'syn-rcvd';
        this.#resend(tcb);
        return;
      }
    } else {
      if (((seq - tcb.rcvNxt) | 0) > 65535 || seqLt((seq + end - dataOff) | 0, (tcb.rcvNxt - 65535) | 0)) {
        this.stack.count.tcpdrop++;
        if ((flags & TH_RST) === 0) this.#challenge(tcb);
        return;
      }
      if ((flags & TH_RST) !== 0) {
        if (seq === tcb.rcvNxt) this.#drop(tcb, tcb.state === 'time-wait' ? null : 'ECONNRESET');
        return;
      }
      if ((flags & TH_SYN) !== 0 && !(tcb.state === 'syn-rcvd' && acked)) {
        if (tcb.state === 'syn-rcvd') this.#resend(tcb);
        else this.#challenge(tcb);
        return;
      }
      if (!acked) return;
    }
    if (seqGt(ack, tcb.sndNxt)) {
      this.#challenge(tcb);
      return;
    }
    this.#acknowledged(tcb, ack, win);
    if (tcb.state === 'closed') return;
    const told = tcb.rcvNxt;
    if (end > dataOff || (flags & TH_FIN) !== 0)
      this.#data(tcb, flags, (flags & TH_SYN) !== 0 ? (seq + 1) | 0 : seq, bytes, dataOff, end);
    if ((tcb.state as State) === 'closed') return;
    const sent = this.#output(tcb);
    if (!sent && (told !== tcb.rcvNxt || end > dataOff || (flags & (TH_FIN | TH_SYN)) !== 0)) this.#ack(tcb);
  }

  /** Takes an acknowledgment and a window. */
  #acknowledged(tcb: Tcb, ack: number, win: number): void {
    if (seqLt(ack, tcb.sndUna)) return;
    tcb.sndWnd = win;
    let n = (ack - tcb.sndUna) | 0;
    if (n === 0) {
      // A peer that answers a probe of its shut window is alive.
      if (win === 0) tcb.tries = 0;
      return;
    }
    tcb.timer.stop();
    tcb.tries = 0;
    tcb.sndUna = ack;
    if (tcb.state === 'syn-sent' || tcb.state === 'syn-rcvd') {
      n--;
      tcb.state = 'open';
      soisconnected(tcb.so);
      if ((tcb.state as State) === 'closed') return;
    }
    if (tcb.finSent && ack === tcb.sndNxt) {
      tcb.finAcked = true;
      n--;
    }
    if (n > 0) sosnddrop(tcb.so, n);
    // A part of it: the rest goes again at once.
    if (tcb.state === 'open' && tcb.sndNxt !== tcb.sndUna && !tcb.timer.pending) this.#resend(tcb);
    this.#maybeOver(tcb);
    return;
  }

  #data(tcb: Tcb, flags: number, seq: number, bytes: Uint8Array, dataOff: number, end: number): void {
    const skip = (tcb.rcvNxt - seq) | 0;
    if (skip < 0 || tcb.finRcvd) {
      this.stack.count.tcpdrop++;
      return;
    }
    const off = dataOff + skip;
    const room = sorcvspace(tcb.so);
    const n = Math.min(end - off, room);
    if (n > 0 && tcb.orphan) {
      this.#abort(tcb);
      return;
    }
    if (n > 0) {
      tcb.rcvNxt = (tcb.rcvNxt + n) | 0;
      sorcv(tcb.so, bytes, off, n);
    }
    if ((flags & TH_FIN) === 0 || n < end - off || off > end || tcb.state === 'closed') return;
    tcb.rcvNxt = (tcb.rcvNxt + 1) | 0;
    tcb.finRcvd = true;
    socantrcvmore(tcb.so);
    this.#maybeOver(tcb);
  }

  /** Both directions have ended. */
  #maybeOver(tcb: Tcb): void {
    if (!tcb.finAcked) return;
    if (!tcb.finRcvd) {
      if (tcb.orphan) tcb.timer.reset(FIN_WAIT_MS);
      return;
    }
    tcb.state = 'time-wait';
    tcb.timer.reset(TIME_WAIT_MS);
    soisdisconnected(tcb.so);
  }

  // --- out

  /** Sends what may be sent while nothing is in flight. True if a segment went out. */
  #output(tcb: Tcb): boolean {
    if (tcb.state !== 'open' || tcb.sndNxt !== tcb.sndUna || tcb.finSent) return false;
    const { snd } = tcb.so;
    // A shut window is probed with one byte.
    const n = Math.min(snd.cc, tcb.mss, Math.max(tcb.sndWnd, 1));
    const fin = tcb.finWanted && n === snd.cc;
    if (n === 0 && !fin) return false;
    tcb.finSent = fin;
    tcb.sndNxt = (tcb.sndUna + n + (fin ? 1 : 0)) | 0;
    this.#resend(tcb);
    return true;
  }

  /** Sends what is in flight, again or for the first time, and sets the timer. */
  #resend(tcb: Tcb): void {
    tcb.timer.reset(Math.min(RTO_MS << tcb.tries, RTO_MAX_MS));
    if (tcb.state === 'syn-sent') this.#send(tcb, TH_SYN, tcb.sndUna, 0, 0);
    else if (tcb.state === 'syn-rcvd') this.#send(tcb, TH_SYN | TH_ACK, tcb.sndUna, tcb.rcvNxt, 0);
    else {
      const fin = tcb.finSent ? 1 : 0;
      const n = ((tcb.sndNxt - tcb.sndUna) | 0) - fin;
      this.#send(tcb, TH_ACK | TH_PUSH | (fin * TH_FIN), tcb.sndUna, tcb.rcvNxt, n);
    }
  }

  /** Answers what cannot be right, but seldom: two ends that disagree would answer each other for ever (RFC 5961 §7). */
  #challenge(tcb: Tcb): void {
    const now = this.stack.kernel.time.ms;
    if (((now - this.#challengeMs) | 0) >= CHALLENGE_MS) {
      this.#challengeMs = now;
      this.#challenges = 0;
    }
    if (++this.#challenges <= MAX_CHALLENGES) this.#ack(tcb);
    else this.stack.count.tcpdrop++;
  }

  #ack(tcb: Tcb): void {
    this.#send(tcb, TH_ACK, tcb.sndNxt, tcb.rcvNxt, 0);
  }

  #send(tcb: Tcb, flags: number, seq: number, ack: number, n: number): void {
    const syn = (flags & TH_SYN) !== 0;
    const hdrLen = TCP_HDR_LEN + (syn ? 4 : 0);
    const pkt = this.stack.alloc(tcb.raddr, hdrLen + n);
    if (pkt === null) return;
    const off = pkt.append(hdrLen + n);
    tcb.told = Math.min(sorcvspace(tcb.so), 65535);
    putTcp(pkt.bytes, off, tcb.lport, tcb.rport, seq, ack, hdrLen, flags, tcb.told);
    if (syn) put32(pkt.bytes, off + TCP_HDR_LEN, (TCPOPT_MSS << 24) | (4 << 16) | MSS);
    if (n > 0) tcb.so.snd.copyOut(0, n, pkt.bytes, off + hdrLen);
    this.#sum(pkt.bytes, off, hdrLen + n, tcb.laddr, tcb.raddr);
    this.stack.ipOutput(pkt, tcb.laddr, tcb.raddr, IPPROTO_TCP);
  }

  #sum(bytes: Uint8Array, off: number, len: number, src: number, dst: number): void {
    put16(bytes, off + TCP_SUM, complement(sum16(bytes, off, len, pseudoSum(ipv4(src), ipv4(dst), IPPROTO_TCP, len))));
  }

  /** Answers a segment that belongs nowhere (RFC 9293 §3.10.7.1). */
  #reset(laddr: number, lport: number, raddr: number, rport: number, flags: number, seqEnd: number, ack: number): void {
    const pkt = this.stack.alloc(raddr, TCP_HDR_LEN);
    if (pkt === null) return;
    const off = pkt.append(TCP_HDR_LEN);
    const acked = (flags & TH_ACK) !== 0;
    putTcp(
      pkt.bytes,
      off,
      lport,
      rport,
      acked ? ack : 0,
      acked ? 0 : seqEnd | 0,
      TCP_HDR_LEN,
      acked ? TH_RST : TH_RST | TH_ACK,
      0,
    );
    this.#sum(pkt.bytes, off, TCP_HDR_LEN, laddr, raddr);
    this.stack.ipOutput(pkt, laddr, raddr, IPPROTO_TCP);
  }

  timeout(tcb: Tcb): void {
    if (tcb.state === 'time-wait' || tcb.finAcked) this.#drop(tcb, null);
    else if (++tcb.tries > MAX_TRIES) this.#drop(tcb, 'ETIMEDOUT');
    else this.#resend(tcb);
  }

  #drop(tcb: Tcb, err: Errno | null): void {
    tcb.timer.stop();
    tcb.state = 'closed';
    if (tcb.orphan) this.tcbs.delete(tcb);
    if (err !== null) soseterror(tcb.so, err);
    soisdisconnected(tcb.so);
  }

  #abort(tcb: Tcb): void {
    if (tcb.state === 'open' || tcb.state === 'syn-rcvd') this.#send(tcb, TH_RST | TH_ACK, tcb.sndNxt, tcb.rcvNxt, 0);
    this.#drop(tcb, null);
  }

  // --- from the socket

  attach(so: Socket): null {
    const tcb = new Tcb(so, this);
    so.pcb = tcb;
    this.tcbs.add(tcb);
    return null;
  }

  detach(so: Socket): void {
    const tcb = tcbOf(so);
    so.pcb = null;
    tcb.orphan = true;
    if (tcb.state === 'listen') tcb.state = 'closed';
    if (tcb.state === 'closed') this.tcbs.delete(tcb);
    else if (tcb.state === 'syn-sent' || tcb.state === 'syn-rcvd') this.#abort(tcb);
    else this.#maybeOver(tcb);
  }

  bind(tcb: Tcb, addr: SockAddr): Errno | null {
    if (addr.kind !== 'inet') return 'EAFNOSUPPORT';
    if (tcb.lport !== 0) return 'EINVAL';
    const laddr = addr.addr.w3;
    if (laddr !== 0 && !this.stack.isLocal(laddr)) return 'EADDRNOTAVAIL';
    const reuse = (tcb.so.options & SO_REUSEADDR) !== 0;
    const taken = (port: number): boolean =>
      [...this.tcbs].some(
        (t) => t.lport === port && (t.laddr === 0 || laddr === 0 || t.laddr === laddr) && !(reuse && t.rport !== 0),
      );
    let port = addr.port;
    if (port !== 0 && taken(port)) return 'EADDRINUSE';
    while (port === 0 || taken(port)) port = 49152 + (this.stack.kernel.random.u32() & 0x3fff);
    tcb.laddr = laddr;
    tcb.lport = port;
    return null;
  }

  listen(tcb: Tcb): Errno | null {
    if (tcb.lport === 0) this.bind(tcb, sockAddr(ipv4(0), 0));
    tcb.state = 'listen';
    return null;
  }

  connect(tcb: Tcb, addr: SockAddr): Errno | null {
    if (addr.kind !== 'inet') return 'EAFNOSUPPORT';
    if (addr.port === 0) return 'EADDRNOTAVAIL';
    if (tcb.state !== 'closed' || tcb.rport !== 0) return 'EINVAL';
    const way = addr.addr.w3 >>> 28 === 14 ? null : this.stack.route(addr.addr.w3);
    if (way === null) return 'ENETUNREACH';
    if (tcb.lport === 0) this.bind(tcb, sockAddr(ipv4(0), 0));
    if (tcb.laddr === 0) tcb.laddr = way.src;
    tcb.raddr = addr.addr.w3;
    tcb.rport = addr.port;
    soisconnecting(tcb.so);
    this.#begin(tcb, 'syn-sent');
    this.#resend(tcb);
    return null;
  }

  /** An orderly end, or an abort if the user wants one or has not read everything. */
  disconnect(tcb: Tcb): null {
    const { so } = tcb;
    if (((so.options & SO_LINGER) !== 0 && so.linger === 0) || so.rcv.cc > 0) {
      this.#abort(tcb);
      return null;
    }
    soisdisconnecting(so);
    return this.shutdown(tcb);
  }

  shutdown(tcb: Tcb): null {
    tcb.finWanted = true;
    this.#output(tcb);
    return null;
  }

  send(tcb: Tcb): void {
    this.#output(tcb);
  }

  /** The reader made room: tell a peer that had none. */
  rcvd(tcb: Tcb): void {
    if (tcb.state === 'open' && tcb.told < tcb.mss && sorcvspace(tcb.so) >= tcb.mss) this.#ack(tcb);
  }

  /** The stack goes. */
  abortAll(): void {
    for (const tcb of this.tcbs) this.#abort(tcb);
  }

  abort(tcb: Tcb): void {
    this.#abort(tcb);
  }

  name(tcb: Tcb): InetSockAddr {
    return sockAddr(ipv4(tcb.laddr), tcb.lport);
  }
}

const TCP_NODELAY = 1;

const tcpClass = defineClass<TinyTcp, ProtoMethods>({
  name: 'tcp',
  implements: protoInterface,
  methods: {
    attach: (self, so) => self.attach(so),
    detach: (self, so) => self.detach(so),
    bind: (self, so, addr) => self.bind(tcbOf(so), addr),
    listen: (self, so) => self.listen(tcbOf(so)),
    connect: (self, so, addr) => self.connect(tcbOf(so), addr),
    disconnect: (self, so) => self.disconnect(tcbOf(so)),
    shutdown: (self, so) => self.shutdown(tcbOf(so)),
    send: (self, so) => self.send(tcbOf(so)),
    rcvd: (self, so) => self.rcvd(tcbOf(so)),
    abort: (self, so) => self.abort(tcbOf(so)),
    sockaddr: (self, so) => self.name(tcbOf(so)),
    peeraddr: (_self, so) => sockAddr(ipv4(tcbOf(so).raddr), tcbOf(so).rport),
    ctloutput(_self, so, sopt) {
      if (sopt.level !== IPPROTO_TCP || sopt.name !== TCP_NODELAY) return 'ENOPROTOOPT';
      // Small segments never wait here; the option is kept so that it reads back.
      if (sopt.dir === 'get') sopt.value = tcbOf(so).nodelay;
      else tcbOf(so).nodelay = Number(sopt.value);
      return null;
    },
  },
});

export function tcpProtosw(tcp: TinyTcp): Protosw {
  const flags = PR_CONNREQUIRED | PR_WANTRCVD;
  return { name: 'tcp', type: SOCK_STREAM, protocol: IPPROTO_TCP, flags, methods: bindObject(tcpClass, tcp) };
}
