/**
 * ARP (RFC 826, RFC 1122 §2.3.2, RFC 5227 §2.4; the rest of it is in dad.ts): 512 entries in sets of four, found by a keyed hash of the address. A full set gives
 * up its oldest entry. An entry that is being asked for keeps up to 64 packets; it is asked for once a second, five times. One that is
 * known is used for twenty minutes, then asked again, by unicast, while it goes on being used.
 */
import type { Errno } from '../../kern/errno.ts';
import { type TxPacket, TX_CSUM, TX_TSO4 } from '../../kern/packet.ts';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, ARP_SHA, arpIsInet, arpOper, arpSpa, arpTpa, putArp } from '../../wire/arp.ts';
import {
  ETHER_BROADCAST,
  ETHER_HDR_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  macEqual,
  macIsGroup,
  putEther,
} from '../../wire/ethernet.ts';
import type { ArpCounters } from './counters.ts';
import { type HashKey, hashFast } from './hash.ts';
import type { NetIf } from './netif.ts';
import { completeTx } from './offload.ts';
import { at, byteAt } from './slab.ts';

const WAYS = 4;
const SETS = 128;
const ENTRIES = SETS * WAYS;
/** Packets that wait for one neighbour, and beyond the first of each for all together; the longest, in bytes. The slab is 2 MiB. */
const HOLD_MAX = 64;
const HOLD_MORE = 512;
const HOLD_ALL = ENTRIES + HOLD_MORE;
const PENDING_MAX = 2048;

const FREE = 0;
const INCOMPLETE = 1;
/** Usable from here on. STALE: asked again. */
const STALE = 2;
const REACHABLE = 3;
const PERMANENT = 4;
/** As the ioctls name them. */
const STATE_NAMES: readonly string[] = ['', 'incomplete', 'stale', 'reachable', 'permanent'];

const RETRY_MS = 1000;
const TRIES = 5;
const LIFE_MS = 20 * 60 * 1000;
/** At most one defence of an address in this time. */
const DEFEND_MS = 10_000;
const NO_MAC: Readonly<Uint8Array> = new Uint8Array(6);

/** What the table asks of the stack around it. */
export interface ArpHost {
  now(): number;
  /** Is `addr` ours on this interface? */
  owns(nif: NetIf, addr: number): boolean;
  /** An address of ours on the interface, for the neighbour at `addr`. */
  sourceFor(nif: NetIf, addr: number): number;
  /** Call `tick` in `ms`. */
  wake(ms: number): void;
  conflict(nif: NetIf, addr: number, mac: Uint8Array): void;
  netif(ix: number): NetIf | null;
  /** A packet of another station's, whose hardware address is at `sha`: of interest to addresses that are not in use yet. */
  heard(nif: NetIf, oper: number, spa: number, tpa: number, b: Uint8Array, sha: number): void;
}

export class Arp {
  readonly #ip = new Int32Array(ENTRIES);
  readonly #mac = new Uint8Array(ENTRIES * 6);
  readonly #state = new Uint8Array(ENTRIES);
  readonly #ix = new Int32Array(ENTRIES);
  /** End of life, or the next try. */
  readonly #until = new Int32Array(ENTRIES);
  readonly #tries = new Uint8Array(ENTRIES);
  readonly #used = new Uint8Array(ENTRIES);
  /** Packets that wait for each: how many, first and last of the list plus 1. */
  readonly #held = new Uint8Array(ENTRIES);
  readonly #first = new Int32Array(ENTRIES);
  readonly #last = new Int32Array(ENTRIES);
  /** Places for them: next in its list plus 1, length, bytes; free ones form a list too, after those never used. */
  readonly #next = new Int32Array(HOLD_ALL);
  readonly #len = new Int32Array(HOLD_ALL);
  readonly #pending = new Uint8Array(HOLD_ALL * PENDING_MAX);
  #free = 0;
  #fresh = 0;
  /** Second and later packets of all lists. */
  #more = 0;
  readonly #key: HashKey;
  readonly #ct: ArpCounters;
  readonly #scratch = new Uint8Array(6);
  #host: ArpHost | null = null;
  #defended = 0;
  #hasDefended = false;

  constructor(key: HashKey, counters: ArpCounters) {
    this.#key = key;
    this.#ct = counters;
  }

  bindHost(host: ArpHost): void {
    this.#host = host;
  }

  /**
   * Sends an IPv4 packet, headers from IP on, to a neighbour; takes it in every case. `hint` is the entry this caller used last;
   * the answer is the entry now, or 0: the packet waits for ARP.
   */
  output(nif: NetIf, nexthop: number, group: boolean, pkt: TxPacket, hint: number): number {
    if (!nif.ethernet) {
      nif.transmit(pkt);
      return 0;
    }
    const b = pkt.bytes;
    if (group) {
      const h = pkt.prepend(ETHER_HDR_LEN);
      putEther(b, h, nexthop >>> 28 === 0xe ? this.#multicast(nexthop) : ETHER_BROADCAST, nif.mac, ETHERTYPE_IPV4);
      nif.transmit(pkt);
      return 0;
    }
    let e = hint - 1;
    if (e < 0 || at(this.#ip, e) !== nexthop || at(this.#ix, e) !== nif.ix) e = this.#find(nif.ix, nexthop);
    if (e < 0 || (this.#state[e] as number) < STALE) {
      this.#wait(nif, nexthop, pkt, e);
      return 0;
    }
    this.#used[e] = 1;
    putEther(b, pkt.prepend(ETHER_HDR_LEN), this.#mac, nif.mac, ETHERTYPE_IPV4, e * 6);
    nif.transmit(pkt);
    return e + 1;
  }

  /** RFC 1112 §6.4: the low 23 bits. */
  #multicast(group: number): Uint8Array {
    const mac = this.#scratch;
    mac.set([0x01, 0x00, 0x5e, (group >>> 16) & 0x7f, group >>> 8, group]);
    return mac;
  }

  /** Keeps the packet, in place of an older one, and asks for the neighbour. */
  #wait(nif: NetIf, nexthop: number, pkt: TxPacket, found: number): void {
    let e = found;
    if (e < 0) {
      e = this.#take(nif.ix, nexthop);
      this.#state[e] = INCOMPLETE;
      this.#tries[e] = 1;
      this.#until[e] = (this.#now() + RETRY_MS) | 0;
      this.#request(nif, nexthop, null);
      this.#host?.wake(RETRY_MS);
    }
    if ((pkt.flags & TX_CSUM) !== 0) completeTx(pkt);
    if ((pkt.flags & TX_TSO4) === 0 && pkt.length() <= PENDING_MAX - ETHER_HDR_LEN) this.#hold(e, pkt);
    else this.#ct.dropped++;
    nif.free(pkt);
  }

  /**
   * Puts a copy at the end of the entry's list; when that is full, or all lists together are, in place of its first. There is always a
   * place for the first packet of each.
   */
  #hold(e: number, pkt: TxPacket): void {
    const held = byteAt(this.#held, e);
    if (held >= HOLD_MAX || (held > 0 && this.#more >= HOLD_MORE)) {
      this.#ct.dropped++;
      this.#shift(e);
    }
    let k = this.#free - 1;
    if (k >= 0) this.#free = at(this.#next, k);
    else k = this.#fresh++;
    this.#len[k] = pkt.copyTo(this.#pending, k * PENDING_MAX);
    this.#next[k] = 0;
    const last = at(this.#last, e);
    if (last !== 0) this.#next[last - 1] = k + 1;
    else this.#first[e] = k + 1;
    this.#last[e] = k + 1;
    if (byteAt(this.#held, e) > 0) this.#more++;
    this.#held[e] = byteAt(this.#held, e) + 1;
  }

  /** Takes the first of an entry's list, whose place is free from now on; its bytes stay until that is used. -1: none. */
  #shift(e: number): number {
    const k = at(this.#first, e) - 1;
    if (k < 0) return -1;
    this.#first[e] = at(this.#next, k);
    if (this.#first[e] === 0) this.#last[e] = 0;
    this.#held[e] = byteAt(this.#held, e) - 1;
    if (byteAt(this.#held, e) > 0) this.#more--;
    this.#next[k] = this.#free;
    this.#free = k + 1;
    return k;
  }

  /** An ARP packet at `o`, received on `nif`. */
  input(nif: NetIf, b: Uint8Array, o: number, end: number): void {
    const ct = this.#ct;
    ct.received++;
    if (end - o < ARP_LEN || !arpIsInet(b, o)) {
      ct.badlen++;
      return;
    }
    const oper = arpOper(b, o);
    const spa = arpSpa(b, o);
    const tpa = arpTpa(b, o);
    const sha = o + ARP_SHA;
    if (oper === ARP_REQUEST) ct.rxrequests++;
    else if (oper === ARP_REPLY) ct.rxreplies++;
    if (macIsGroup(b, sha) || spa === -1 || spa >>> 28 === 0xe || (oper !== ARP_REQUEST && oper !== ARP_REPLY)) {
      ct.badsource++;
      return;
    }
    if (macEqual(b, sha, nif.mac)) {
      ct.ignored++;
      return;
    }
    const host = this.#host;
    if (host === null) return;
    host.heard(nif, oper, spa, tpa, b, sha);
    if (spa !== 0 && host.owns(nif, spa)) {
      this.#defend(nif, spa, b, sha);
      return;
    }
    const forUs = tpa !== 0 && host.owns(nif, tpa);
    // RFC 826: what is known is brought up to date; something new is learned only from what was meant for us.
    let e = spa === 0 ? -1 : this.#find(nif.ix, spa);
    if (e < 0 && forUs && spa !== 0) e = this.#take(nif.ix, spa);
    if (e >= 0) this.#learn(nif, e, b, sha);
    if (forUs && oper === ARP_REQUEST) {
      this.#scratch.set(b.subarray(sha, sha + 6));
      ct.txreplies++;
      this.#send(nif, this.#scratch, ARP_REPLY, tpa, this.#scratch, spa);
    } else if (e < 0) {
      ct.ignored++;
    }
  }

  #learn(nif: NetIf, e: number, b: Uint8Array, sha: number): void {
    if (this.#state[e] === PERMANENT) return;
    this.#mac.set(b.subarray(sha, sha + 6), e * 6);
    this.#state[e] = REACHABLE;
    this.#tries[e] = 0;
    this.#until[e] = (this.#now() + LIFE_MS) | 0;
    this.#host?.wake(LIFE_MS);
    this.#sendPending(nif, e);
  }

  #sendPending(nif: NetIf, e: number): void {
    for (let k = this.#shift(e); k >= 0; k = this.#shift(e)) {
      const len = at(this.#len, k);
      const pkt = nif.alloc();
      if (pkt === null || len > pkt.room()) {
        if (pkt !== null) nif.free(pkt);
        this.#ct.dropped++;
        continue;
      }
      pkt.bytes.set(this.#pending.subarray(k * PENDING_MAX, k * PENDING_MAX + len), pkt.append(len));
      this.output(nif, at(this.#ip, e), false, pkt, e + 1);
    }
  }

  /** RFC 5227 §2.4 (b): say once that the address is ours; if that does not help, give no more than one answer in ten seconds. */
  #defend(nif: NetIf, addr: number, b: Uint8Array, sha: number): void {
    this.#ct.dupips++;
    const now = this.#now();
    if (this.#hasDefended && ((now - this.#defended) | 0) < DEFEND_MS) return;
    this.#hasDefended = true;
    this.#defended = now;
    this.#host?.conflict(nif, addr, b.slice(sha, sha + 6));
    this.announce(nif, addr);
  }

  /** Asks who has `addr`, without a claim to it: the sender's address is 0 (RFC 5227 §2.1.1). */
  probe(nif: NetIf, addr: number): void {
    this.#ct.txprobes++;
    this.#send(nif, ETHER_BROADCAST, ARP_REQUEST, 0, NO_MAC, addr);
  }

  /** Tells everyone that `addr` is here (RFC 5227 §2.3). */
  announce(nif: NetIf, addr: number): void {
    if (!nif.ethernet || !nif.isUp()) return;
    this.#ct.txrequests++;
    this.#send(nif, ETHER_BROADCAST, ARP_REQUEST, addr, NO_MAC, addr);
  }

  #request(nif: NetIf, addr: number, to: Uint8Array | null): void {
    const src = this.#host?.sourceFor(nif, addr) ?? 0;
    this.#ct.txrequests++;
    this.#send(nif, to ?? ETHER_BROADCAST, ARP_REQUEST, src, NO_MAC, addr);
  }

  #send(nif: NetIf, dst: Readonly<Uint8Array>, oper: number, spa: number, tha: Readonly<Uint8Array>, tpa: number): void {
    const pkt = nif.alloc();
    if (pkt === null) return;
    putArp(pkt.bytes, pkt.append(ARP_LEN), oper, nif.mac, spa, tha, tpa);
    putEther(pkt.bytes, pkt.prepend(ETHER_HDR_LEN), dst, nif.mac, ETHERTYPE_ARP);
    nif.transmit(pkt);
  }

  /** The hour hand: asks again, gives up, lets expire. */
  tick(): void {
    const now = this.#now();
    let next = 0;
    for (let e = 0; e < ENTRIES; e++) {
      const state = this.#state[e];
      if (state === FREE || state === PERMANENT) continue;
      if (((at(this.#until, e) - now) | 0) <= 0) this.#expire(e, now);
      if (this.#state[e] === FREE) continue;
      const left = (at(this.#until, e) - now) | 0;
      if (next === 0 || left < next) next = left;
    }
    if (next > 0) this.#host?.wake(next);
  }

  #expire(e: number, now: number): void {
    const nif = this.#host?.netif(at(this.#ix, e)) ?? null;
    const tries = this.#tries[e] as number;
    if (nif === null || tries >= TRIES || (this.#state[e] === REACHABLE && this.#used[e] === 0)) {
      if (this.#state[e] !== REACHABLE) this.#ct.timeouts++;
      this.#release(e);
      return;
    }
    const known = this.#state[e] !== INCOMPLETE;
    if (known) this.#state[e] = STALE;
    this.#used[e] = 0;
    this.#tries[e] = tries + 1;
    this.#until[e] = (now + RETRY_MS) | 0;
    this.#request(nif, at(this.#ip, e), known && tries < TRIES - 2 ? this.#mac.slice(e * 6, e * 6 + 6) : null);
  }

  #release(e: number): void {
    while (this.#shift(e) >= 0) this.#ct.dropped++;
    this.#state[e] = FREE;
    this.#ip[e] = 0;
  }

  #now(): number {
    return this.#host?.now() ?? 0;
  }

  #set(ix: number, addr: number): number {
    return (hashFast(this.#key, addr, ix, 0) & (SETS - 1)) * WAYS;
  }

  #find(ix: number, addr: number): number {
    const first = this.#set(ix, addr);
    for (let e = first; e < first + WAYS; e++) {
      if (at(this.#ip, e) === addr && at(this.#ix, e) === ix && this.#state[e] !== FREE) return e;
    }
    return -1;
  }

  /** A fresh entry: a free one of the set, or its oldest that is not permanent. */
  #take(ix: number, addr: number): number {
    const first = this.#set(ix, addr);
    let best = first;
    for (let e = first; e < first + WAYS; e++) {
      if (this.#state[e] === FREE) {
        best = e;
        break;
      }
      const older = ((at(this.#until, e) - at(this.#until, best)) | 0) < 0;
      if (this.#state[best] === PERMANENT || (older && this.#state[e] !== PERMANENT)) best = e;
    }
    if (this.#state[best] !== FREE) {
      this.#ct.evicted++;
      this.#release(best);
    }
    this.#ip[best] = addr;
    this.#ix[best] = ix;
    this.#used[best] = 0;
    this.#tries[best] = 0;
    this.#state[best] = INCOMPLETE;
    return best;
  }

  /** Sets an entry for good (arp -s). */
  setPermanent(nif: NetIf, addr: number, mac: Uint8Array): Errno | null {
    if (mac.length !== 6 || macIsGroup(mac, 0)) return 'EINVAL';
    let e = this.#find(nif.ix, addr);
    if (e < 0) e = this.#take(nif.ix, addr);
    this.#mac.set(mac, e * 6);
    this.#state[e] = PERMANENT;
    this.#sendPending(nif, e);
    return null;
  }

  /** Forgets one address, or with 0 all of an interface. ENOENT. */
  forget(ix: number, addr: number): Errno | null {
    let found = false;
    for (let e = 0; e < ENTRIES; e++) {
      if (this.#state[e] === FREE || at(this.#ix, e) !== ix || (addr !== 0 && at(this.#ip, e) !== addr)) continue;
      this.#release(e);
      found = true;
    }
    return found || addr === 0 ? null : 'ENOENT';
  }

  /** Forgets all but what was set by hand. */
  forgetLearnt(): void {
    for (let e = 0; e < ENTRIES; e++) {
      const state = this.#state[e] as number;
      if (state !== FREE && state !== PERMANENT) this.#release(e);
    }
  }

  /** The table for its readers: address, hardware address (null while it is asked for), interface, milliseconds left, state. */
  list(): { addr: number; mac: Uint8Array | null; ix: number; leftMs: number; state: string }[] {
    const rows = [];
    for (let e = 0; e < ENTRIES; e++) {
      const state = this.#state[e] as number;
      if (state === FREE) continue;
      const mac = state === INCOMPLETE ? null : this.#mac.slice(e * 6, e * 6 + 6);
      const leftMs = state === PERMANENT ? 0 : Math.max(0, (at(this.#until, e) - this.#now()) | 0);
      rows.push({ addr: at(this.#ip, e), mac, ix: at(this.#ix, e), leftMs, state: STATE_NAMES[state] ?? '' });
    }
    return rows;
  }
}
