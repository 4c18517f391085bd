/**
 * ARP packets that come in (RFC 826 "packet reception"), and claims to our addresses (RFC 5227 §2.4). An entry is made only for who
 * asks for us, and changed by anything its owner says: nobody can fill the cache by shouting.
 */
import { Callout, type CalloutWheel } from '../../kern/callout.ts';
import { IFF_NOARP, IFF_STATICARP } from '../../kern/ifnet/flags.ts';
import type { RxPacket } from '../../kern/packet.ts';
import { type IpAddr, IpAddrBuf, copyAddr, isAny } from '../../wire/addr.ts';
import { addrToString } from '../../wire/addrtext.ts';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, ARP_SHA, arpIsInet, arpOper, arpSpa, arpTpa } from '../../wire/arp.ts';
import { ETHER_ADDR_LEN, macEqual, macIsGroup, macToString } from '../../wire/ethernet.ts';
import { ARP_PERMANENT, ARP_REACHABLE, type Arp, type ArpEntry } from './arp.ts';
import type { Dad } from './dad.ts';

/** RFC 5227 §1.1: announcements of a new address, the time between them, and between two defences. */
const ANNOUNCE_NUM = 2;
const ANNOUNCE_INTERVAL_MS = 2000;
const DEFEND_INTERVAL_MS = 10_000;

/** What is known of one of our own addresses. */
class Own {
  readonly addr: IpAddr;
  announcesLeft = 0;
  defended = false;
  /** Time of the last defence, in the kernel's milliseconds. */
  defendedMs = 0;
  readonly timer: Callout<Own>;

  constructor(wheel: CalloutWheel, addr: IpAddr, next: (own: Own) => void) {
    this.addr = copyAddr(addr);
    this.timer = new Callout(wheel, next, this as Own);
  }
}

export class ArpInput {
  readonly dad: Dad;
  readonly #arp: Arp;
  readonly #spa = new IpAddrBuf();
  readonly #tpa = new IpAddrBuf();
  readonly #mac = new Uint8Array(ETHER_ADDR_LEN);
  readonly #own = new Map<number, Own>();

  constructor(arp: Arp, dad: Dad) {
    this.#arp = arp;
    this.dad = dad;
  }

  /** `pkt.off` is behind the Ethernet header. */
  input(pkt: RxPacket): void {
    const { stat, nif, addrs } = this.#arp;
    const b = pkt.bytes;
    const o = pkt.off;
    stat.received++;
    const flags = nif.ifp.flags();
    if ((flags & IFF_NOARP) !== 0) {
      stat.disabled++;
      return;
    }
    if (pkt.end - o < ARP_LEN) {
      stat.tooshort++;
      return;
    }
    if (!arpIsInet(b, o)) {
      stat.badfmt++;
      return;
    }
    const oper = arpOper(b, o);
    if (oper !== ARP_REQUEST && oper !== ARP_REPLY) {
      stat.badop++;
      return;
    }
    if (macEqual(b, o + ARP_SHA, nif.mac)) {
      stat.own++;
      return;
    }
    if (macIsGroup(b, o + ARP_SHA) || isZeroMac(b, o + ARP_SHA)) {
      stat.badsha++;
      return;
    }
    const spa = this.#spa.setV4(arpSpa(b, o));
    const tpa = this.#tpa.setV4(arpTpa(b, o));
    const top = spa.w3 >>> 24;
    if (spa.w3 !== 0 && (top === 0 || top === 127 || top >= 224 || addrs.isBroadcast4(spa.w3))) {
      stat.badspa++;
      return;
    }
    if (oper === ARP_REQUEST) stat.rxrequests++;
    else stat.rxreplies++;
    for (let i = 0; i < ETHER_ADDR_LEN; i++) this.#mac[i] = b[o + ARP_SHA + i] as number;
    if (this.dad.list.length > 0) this.dad.heard(oper, spa.w3, tpa.w3, this.#mac);
    if (addrs.find(spa)?.nif === nif) {
      this.#conflict(spa);
      return;
    }
    const forUs = addrs.find(tpa)?.nif === nif;
    if (!isAny(spa) && (flags & IFF_STATICARP) === 0) this.#merge(spa, forUs);
    if (oper === ARP_REQUEST && forUs) this.#arp.reply(tpa.w3, this.#mac, spa.w3);
  }

  /** RFC 826: an entry that is there takes what the sender says of itself; a new one needs that we are the target. */
  #merge(spa: IpAddr, forUs: boolean): void {
    const { stat, addrs, nif } = this.#arp;
    const entry = this.#arp.find(spa);
    if (entry === null) {
      if (!forUs) return;
      if (addrs.onLink(nif, spa) === null) stat.offlink++;
      else this.#arp.learn(spa, this.#mac);
      return;
    }
    if (entry.state === ARP_PERMANENT) {
      if (!macEqual(entry.mac, 0, this.#mac)) stat.permrefused++;
      return;
    }
    if (entry.state >= ARP_REACHABLE && !macEqual(entry.mac, 0, this.#mac)) this.#moved(entry);
    this.#arp.confirm(entry, this.#mac);
  }

  #moved(entry: ArpEntry): void {
    const { stat, config, log, nif } = this.#arp;
    stat.moved++;
    if (!config.logMoves) return;
    const fields = {
      if: nif.ifp.name(),
      addr: addrToString(entry.dst),
      from: macToString(entry.mac),
      to: macToString(this.#mac),
    };
    log.info(fields, 'neighbour moved to another hardware address');
  }

  /** Somebody else uses our address: we say once that it is ours, and no more for ten seconds (RFC 5227 §2.4 (c)). */
  #conflict(addr: IpAddr): void {
    const { stat, log, nif, kernel } = this.#arp;
    stat.dupips++;
    const own = this.#ownOf(addr);
    const now = kernel.time.ms;
    if (own.defended && (now - own.defendedMs) >>> 0 < DEFEND_INTERVAL_MS) return;
    own.defended = true;
    own.defendedMs = now;
    stat.defended++;
    log.warn({ if: nif.ifp.name(), addr: addrToString(addr), by: macToString(this.#mac) }, 'another host uses our address');
    this.#arp.announce(addr.w3);
  }

  #ownOf(addr: IpAddr): Own {
    const known = this.#own.get(addr.w3);
    if (known !== undefined) return known;
    const own = new Own(this.#arp.kernel.callouts, addr, (due) => this.#announceNext(due));
    this.#own.set(addr.w3, own);
    return own;
  }

  /** An address is ours now: tell the neighbours (RFC 5227 §2.3). */
  announce(addr: IpAddr): void {
    const own = this.#ownOf(addr);
    own.announcesLeft = ANNOUNCE_NUM;
    if (this.#arp.nif.up) this.#announceNext(own);
  }

  #announceNext(own: Own): void {
    if (own.announcesLeft <= 0 || !this.#arp.nif.up) return;
    own.announcesLeft--;
    this.#arp.announce(own.addr.w3);
    if (own.announcesLeft > 0) own.timer.reset(ANNOUNCE_INTERVAL_MS);
  }

  /** An address is no longer ours. */
  forget(addr: IpAddr): void {
    this.#own.get(addr.w3)?.timer.stop();
    this.#own.delete(addr.w3);
  }

  stop(): void {
    this.dad.stop();
    for (const own of this.#own.values()) own.timer.stop();
    this.#own.clear();
  }
}

function isZeroMac(b: Uint8Array, o: number): boolean {
  for (let i = 0; i < ETHER_ADDR_LEN; i++) if (b[o + i] !== 0) return false;
  return true;
}
