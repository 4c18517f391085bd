/**
 * The neighbours of an Ethernet (RFC 826, RFC 1122 §2.3.2): a bounded cache from IPv4 address to hardware address, with packets that
 * wait for an answer. What comes in is in arpinput.ts.
 *
 * An entry is asked for once a second, five times; then packets for it are refused for a while (RFC 1122 §2.3.2.1: no flooding). An
 * entry that was heard of counts for 20 minutes; if it is in use then, it is asked again by unicast and stays good meanwhile.
 */
import { Callout } from '../../kern/callout.ts';
import type { Log } from '../../kern/effects.ts';
import type { Errno } from '../../kern/errno.ts';
import { IFF_NOARP, IFF_STATICARP } from '../../kern/ifnet/flags.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { TxPacket } from '../../kern/packet.ts';
import type { IpAddr } from '../../wire/addr.ts';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, putArp } from '../../wire/arp.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHER_ADDR_LEN, ETHER_BROADCAST, ETHER_HDR_LEN, putEther } from '../../wire/ethernet.ts';
import { AddrEntry, AddrTable } from './addrtable.ts';
import { ArpQueue, type Held } from './arpqueue.ts';
import type { IfAddrs } from './ifaddr.ts';
import type { InetIf } from './netif.ts';
import type { ArpStat } from './stats.ts';

/** States in ascending order of use: from `ARP_REACHABLE` on there is an address to send to. */
export const ARP_GONE = 0;
export const ARP_INCOMPLETE = 1;
export const ARP_FAILED = 2;
export const ARP_REACHABLE = 3;
export const ARP_STALE = 4;
export const ARP_PERMANENT = 5;
export const ARP_STATE_NAMES: readonly string[] = ['gone', 'incomplete', 'failed', 'reachable', 'stale', 'permanent'];

/** Time between two requests for the same address (RFC 1122 §2.3.2.1: at most one a second). */
const RETRY_MS = 1000;
/** Unicast requests for an entry that ran out, before they are broadcast. */
const UNICAST_TRIES = 3;
const NO_MAC: Readonly<Uint8Array> = new Uint8Array(ETHER_ADDR_LEN);

/** Limits and times, shared by all interfaces: sysctls under net.link.ether.inet. */
export class ArpConfig {
  maxAgeSec = 1200;
  maxTries = 5;
  hostDownSec = 20;
  /** Entries with an address, and entries still asked for, per interface. */
  maxEntries = 4096;
  maxPending = 512;
  /** Packets that wait for one entry; bytes that wait on one interface. */
  maxHold = 64;
  maxHoldBytes = 1 << 20;
  logMoves = true;
  /** Probes for an address before it is used (RFC 5227 §2.1.1: 3); 0: it is used at once. */
  dadCount = 0;
}

export class ArpEntry extends AddrEntry {
  state = ARP_INCOMPLETE;
  readonly mac = new Uint8Array(ETHER_ADDR_LEN);
  /** Was asked for since it was last confirmed. */
  used = false;
  /** Requests sent since then. */
  tries = 0;
  held: Held[] = [];
  readonly timer: Callout<ArpEntry>;

  constructor(kernel: Kernel, dst: IpAddr, expire: (entry: ArpEntry) => void) {
    super();
    this.dst.set(dst);
    this.timer = new Callout(kernel.callouts, expire, this as ArpEntry);
  }
}

export class Arp {
  readonly nif: InetIf;
  readonly addrs: IfAddrs;
  readonly stat: ArpStat;
  readonly config: ArpConfig;
  readonly log: Log;
  readonly kernel: Kernel;
  /** Apart from each other, so that a scan of the subnet cannot push out who is there. */
  readonly #known: AddrTable<ArpEntry>;
  readonly #pending: AddrTable<ArpEntry>;
  readonly #queue: ArpQueue;
  /** Told of each packet whose neighbour did not answer: [off, off + len) is an IP packet. */
  readonly #unreachable: (bytes: Uint8Array, off: number, len: number) => void;
  readonly #expire = (entry: ArpEntry): void => this.#timeout(entry);

  constructor(
    kernel: Kernel,
    nif: InetIf,
    addrs: IfAddrs,
    stat: ArpStat,
    config: ArpConfig,
    log: Log,
    unreachable: (bytes: Uint8Array, off: number, len: number) => void,
  ) {
    this.kernel = kernel;
    this.nif = nif;
    this.addrs = addrs;
    this.stat = stat;
    this.config = config;
    this.log = log;
    this.#unreachable = unreachable;
    this.#known = new AddrTable(kernel.random.u32() | 0);
    this.#pending = new AddrTable(kernel.random.u32() | 0);
    this.#queue = new ArpQueue(kernel.bufpool);
  }

  find(addr: IpAddr): ArpEntry | null {
    return this.#known.get(addr) ?? this.#pending.get(addr);
  }

  list(): ArpEntry[] {
    return [...this.#known.list(), ...this.#pending.list()];
  }

  /** The entry for a neighbour that is to be sent to: made, and asked for, when there is none. */
  resolve(addr: IpAddr): ArpEntry {
    const found = this.find(addr);
    if (found !== null) {
      if (found.state >= ARP_REACHABLE) this.#known.touch(found);
      return found;
    }
    this.#makeRoom(this.#pending, this.config.maxPending);
    const entry = new ArpEntry(this.kernel, addr, this.#expire);
    this.#pending.insert(entry);
    this.#ask(entry);
    return entry;
  }

  /** Takes a packet whose neighbour is not known yet: keeps it, or refuses it (EHOSTUNREACH) while the neighbour is down. */
  hold(entry: ArpEntry, pkt: TxPacket): Errno | null {
    if (entry.state === ARP_FAILED) {
      this.stat.holddown++;
      this.nif.ifp.txFree(pkt);
      return 'EHOSTUNREACH';
    }
    const copy = this.#queue.copy(pkt);
    this.nif.ifp.txFree(pkt);
    if (copy === null) {
      this.stat.dropped++;
      return 'ENOBUFS';
    }
    this.stat.held++;
    entry.held.push(copy);
    while (entry.held.length > this.config.maxHold || this.#queue.bytes > this.config.maxHoldBytes) {
      const oldest = entry.held.shift();
      if (oldest === undefined) break;
      this.#queue.release(oldest);
      this.stat.dropped++;
    }
    return null;
  }

  /** The neighbour said where it is: the entry is good, and what waited goes out in order. */
  confirm(entry: ArpEntry, mac: Uint8Array): void {
    if (entry.state < ARP_REACHABLE) {
      this.#pending.remove(entry);
      this.#makeRoom(this.#known, this.config.maxEntries);
      this.#known.insert(entry);
    }
    entry.state = ARP_REACHABLE;
    entry.used = false;
    entry.tries = 0;
    entry.mac.set(mac);
    entry.timer.reset(this.config.maxAgeSec * 1000);
    this.#sendHeld(entry);
  }

  /** A neighbour that asked us: it will be answered, so its address is kept (RFC 826). */
  learn(addr: IpAddr, mac: Uint8Array): void {
    const entry = new ArpEntry(this.kernel, addr, this.#expire);
    this.#pending.insert(entry);
    this.confirm(entry, mac);
  }

  /** An entry by the operator's hand. */
  set(addr: IpAddr, mac: Uint8Array, permanent: boolean): void {
    const entry = this.find(addr);
    if (entry === null) this.learn(addr, mac);
    else this.confirm(entry, mac);
    const made = this.find(addr);
    if (made === null || !permanent) return;
    made.state = ARP_PERMANENT;
    made.timer.stop();
  }

  remove(entry: ArpEntry): void {
    (entry.state >= ARP_REACHABLE ? this.#known : this.#pending).remove(entry);
    entry.state = ARP_GONE;
    entry.timer.stop();
    for (const held of entry.held) this.#queue.release(held);
    this.stat.dropped += entry.held.length;
    entry.held = [];
  }

  /** Forgets everything. */
  flush(): void {
    for (const entry of this.list()) this.remove(entry);
  }

  /** Forgets all but what was set by hand. */
  forgetLearnt(): void {
    for (const entry of this.list()) if (entry.state !== ARP_PERMANENT) this.remove(entry);
  }

  /** Evicts the entry used longest ago. One that packets went to since it was last looked at gets a second chance. */
  #makeRoom(table: AddrTable<ArpEntry>, limit: number): void {
    for (let chances = table.size; table.size >= limit; chances--) {
      const victim = table.oldest();
      if (victim === null) return;
      if (chances > 0 && (victim.used || victim.state === ARP_PERMANENT)) {
        victim.used = false;
        table.touch(victim);
        continue;
      }
      this.stat.evicted++;
      this.remove(victim);
    }
  }

  #sendHeld(entry: ArpEntry): void {
    const { ifp } = this.nif;
    const held = entry.held;
    if (held.length === 0) return;
    entry.held = [];
    for (const one of held) {
      const pkt = this.#queue.restore(one, ifp);
      if (pkt === null) this.stat.dropped++;
      else {
        putEther(pkt.bytes, pkt.prepend(ETHER_HDR_LEN), entry.mac, this.nif.mac, ETHERTYPE_IPV4);
        ifp.transmit(pkt);
      }
      this.#queue.release(one);
    }
  }

  #timeout(entry: ArpEntry): void {
    const { maxTries } = this.config;
    if (entry.state === ARP_REACHABLE) {
      if (!entry.used) {
        this.stat.timeouts++;
        this.remove(entry);
        return;
      }
      entry.state = ARP_STALE;
      entry.tries = 0;
    } else if (entry.state === ARP_FAILED) {
      this.remove(entry);
      return;
    } else if (entry.tries >= maxTries) {
      if (entry.state === ARP_INCOMPLETE) this.#fail(entry);
      else {
        this.stat.timeouts++;
        this.remove(entry);
      }
      return;
    }
    this.#ask(entry);
  }

  /** Nobody answers: who sent what waited is told, and for a while nobody asks again. */
  #fail(entry: ArpEntry): void {
    this.stat.failed++;
    entry.state = ARP_FAILED;
    entry.timer.reset(this.config.hostDownSec * 1000);
    const held = entry.held;
    entry.held = [];
    for (const one of held) {
      this.stat.dropped++;
      this.#unreachable(one.bytes, 0, one.len);
      this.#queue.release(one);
    }
  }

  #ask(entry: ArpEntry): void {
    entry.tries++;
    entry.timer.reset(RETRY_MS);
    const source = this.addrs.selectSource(this.nif, entry.dst);
    if (source === null || (this.nif.ifp.flags() & (IFF_NOARP | IFF_STATICARP)) !== 0) return;
    this.stat.txrequests++;
    const unicast = entry.state === ARP_STALE && entry.tries <= UNICAST_TRIES;
    this.#send(unicast ? entry.mac : ETHER_BROADCAST, ARP_REQUEST, source.w3, NO_MAC, entry.dst.w3);
  }

  /** Answers the host `mac` that asked for our address `spa`. */
  reply(spa: number, mac: Uint8Array, tpa: number): void {
    this.stat.txreplies++;
    this.#send(mac, ARP_REPLY, spa, mac, tpa);
  }

  /** Asks who has `addr`, without a claim to it: the sender's address is 0 (RFC 5227 §2.1.1). */
  probe(addr: number): void {
    this.stat.txprobes++;
    this.#send(ETHER_BROADCAST, ARP_REQUEST, 0, NO_MAC, addr);
  }

  /** Says to all that `addr` is ours (RFC 5227 §2.3). */
  announce(addr: number): void {
    if ((this.nif.ifp.flags() & IFF_NOARP) !== 0) return;
    this.stat.txannounces++;
    this.#send(ETHER_BROADCAST, ARP_REQUEST, addr, NO_MAC, addr);
  }

  #send(to: Readonly<Uint8Array>, oper: number, spa: number, tha: Readonly<Uint8Array>, tpa: number): void {
    const { ifp, mac } = this.nif;
    const pkt = ifp.txAlloc();
    if (pkt === null) {
      this.stat.dropped++;
      return;
    }
    putArp(pkt.bytes, pkt.append(ARP_LEN), oper, mac, spa, tha, tpa);
    putEther(pkt.bytes, pkt.prepend(ETHER_HDR_LEN), to, mac, ETHERTYPE_ARP);
    ifp.transmit(pkt);
  }
}
