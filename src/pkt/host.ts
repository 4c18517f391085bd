/**
 * The world of one script: a kernel with a stack at one end of a `pair` in virtual time, and the script at the other end, which is the
 * gateway and everything behind it. It answers ARP for every address.
 */
import { type Errno, isErrno } from '../kern/errno.ts';
import { SimWorld } from '../kern/effects/sim.ts';
import { type IfAddrReq, type RtReq, SIOCADDRT, SIOCAIFADDR } from '../kern/ifnet/ifioctl.ts';
import type { Link } from '../kern/ifnet/link.ts';
import { Kernel } from '../kern/kernel.ts';
import type { ModuleSpec } from '../kern/module.ts';
import { Proc } from '../kern/proc/proc.ts';
import { createPair } from '../driver/pair.ts';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, ARP_SHA, arpIsInet, arpOper, arpSpa, arpTpa, putArp } from '../wire/arp.ts';
import { ipv4 } from '../wire/addr.ts';
import { ETHERTYPE_ARP, ETHER_HDR_LEN, etherType, putEther } from '../wire/ethernet.ts';
import { type Addresses, type LivePacket, buildFrame, readFrame } from './frame.ts';

export interface HostOptions {
  readonly stack: ModuleSpec;
  /** 32 bits each. */
  readonly localIp: number;
  readonly remoteIp: number;
  readonly gatewayIp: number;
  readonly prefixLen: number;
  readonly mtu: number;
  readonly seed: number;
  /** The kernel's monotonic clock when it boots, in milliseconds. */
  readonly startMs: number;
  /** Tunables of the kernel. */
  readonly env: Readonly<Record<string, string>>;
}

/** A packet as the stack sent it, and when. `packet` is a sentence for one that is wrong. */
export interface Sent {
  readonly ms: number;
  readonly packet: LivePacket | string;
}

const LOCAL_MAC: Readonly<Uint8Array> = Uint8Array.of(2, 0, 0, 0, 0, 2);
const REMOTE_MAC: Readonly<Uint8Array> = Uint8Array.of(2, 0, 0, 0, 0, 1);
const MAX_MTU = 65_535;
/** Of the link's output: more than a window of any script. */
const SLOTS = 128;
/** Microtask turns that a system call's promise takes to its end. */
const TURNS = 8;

export class Host {
  readonly world: SimWorld;
  readonly kernel: Kernel;
  readonly proc: Proc;
  readonly addrs: Addresses;
  /** What the stack sent and nobody has looked at. */
  readonly sent: Sent[] = [];
  readonly #link: Link;
  #t0 = 0;

  constructor(options: HostOptions) {
    const { stack, localIp, remoteIp, gatewayIp, prefixLen, mtu, seed, startMs, env } = options;
    this.addrs = { localMac: LOCAL_MAC as Uint8Array, remoteMac: REMOTE_MAC as Uint8Array, local: localIp, remote: remoteIp };
    this.world = new SimWorld({ seed, startMs });
    const effects = this.world.effects('stack');
    this.kernel = new Kernel(effects, env);
    const failure = this.kernel.modules.preload(stack) ?? this.kernel.boot();
    if (failure !== null) throw new Error(failure.message);
    const [ours, theirs] = createPair(effects, {
      mtu: MAX_MTU,
      offload: false,
      slots: SLOTS,
      lladdrs: [this.addrs.remoteMac, this.addrs.localMac],
    });
    this.#link = ours;
    this.#listen();
    const ifp = this.kernel.ifnets.attach('pair', 0, theirs);
    if (isErrno(ifp)) throw new Error(`attach: ${ifp}`);
    // The stack's end alone: a script may send it more than it can send.
    must(ifp.setMtu(mtu), `mtu ${mtu}`);
    must(ifp.setUp(true), 'up');
    const addr: IfAddrReq = { name: ifp.name(), addr: ipv4(localIp), prefixLen };
    must(this.kernel.netstack.current.ioctl(SIOCAIFADDR, addr), 'address');
    const route: RtReq = { dst: ipv4(0), prefixLen: 0, gateway: ipv4(gatewayIp) };
    must(this.kernel.netstack.current.ioctl(SIOCADDRT, route), 'default route');
    this.proc = new Proc(this.kernel, 'script');
    // Announcements and probes of the address are over before the script begins.
    this.world.run(10_000);
    this.sent.length = 0;
    this.#t0 = this.world.nowMs();
  }

  close(): void {
    this.proc.exit();
    this.world.settle();
    this.kernel.shutdown();
  }

  /** Milliseconds since the script began. */
  nowMs(): number {
    return this.world.nowMs() - this.#t0;
  }

  /** Lets time pass until `stop` says so, at most to `ms` of the script's time. Promises of system calls settle on the way. */
  async advance(ms: number, stop: () => boolean = () => false): Promise<void> {
    await this.settle();
    if (stop() || this.nowMs() >= ms) return;
    let over = false;
    const cancel = this.world.at(this.#t0 + ms, () => (over = true));
    while (!over) {
      this.world.step();
      await this.settle();
      if (stop()) break;
    }
    cancel();
  }

  /** What is due at this very moment happens. */
  async settle(): Promise<void> {
    this.world.settle();
    for (let i = 0; i < TURNS; i++) await null;
    this.world.settle();
  }

  /** A packet from the script. */
  inject(packet: LivePacket): void {
    this.#transmit(buildFrame(this.addrs, packet));
    this.world.settle();
  }

  #transmit(frame: Uint8Array): void {
    const pkt = this.#link.txAlloc();
    if (pkt === null) throw new Error('no slot for a packet');
    // The rest by reference: a frame may be longer than a slot.
    const head = Math.min(frame.length, ETHER_HDR_LEN + 60);
    pkt.bytes.set(frame.subarray(0, head), pkt.append(head));
    if (head < frame.length) pkt.addFrag(frame, head, frame.length - head);
    must(this.#link.transmit(pkt), 'a packet to the stack');
    this.#link.flush();
  }

  #listen(): void {
    const up = {
      begin: (): void => undefined,
      end: (): void => undefined,
      dropped: (): void => undefined,
      state: (): void => undefined,
      input: (pkt: { bytes: Uint8Array; off: number; end: number }): void => this.#input(pkt.bytes.slice(pkt.off, pkt.end)),
    };
    must(this.#link.start(up), 'start');
    must(this.#link.setUp(true), 'up');
  }

  #input(frame: Uint8Array): void {
    if (etherType(frame, 0) === ETHERTYPE_ARP) return this.#arp(frame);
    const packet = readFrame(this.addrs, frame);
    if (packet !== null) this.sent.push({ ms: this.nowMs(), packet });
  }

  #arp(frame: Uint8Array): void {
    const o = ETHER_HDR_LEN;
    if (frame.length < o + ARP_LEN || !arpIsInet(frame, o) || arpOper(frame, o) !== ARP_REQUEST) return;
    // Not for who asks about itself: that is an announcement or a probe (RFC 5227).
    const target = arpTpa(frame, o);
    if (target === (this.addrs.local | 0)) return;
    const reply = new Uint8Array(o + ARP_LEN);
    putEther(reply, 0, this.addrs.localMac, this.addrs.remoteMac, ETHERTYPE_ARP);
    putArp(reply, o, ARP_REPLY, this.addrs.remoteMac, target, frame.slice(o + ARP_SHA, o + ARP_SHA + 6), arpSpa(frame, o));
    this.#transmit(reply);
  }
}

function must(err: Errno | null, what: string): void {
  if (err !== null) throw new Error(`${what}: ${err}`);
}
