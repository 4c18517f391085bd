/**
 * Addresses that are not in use yet: each is asked for before it is this host's (RFC 5227 §2.1). Meanwhile it is tentative: in none of the
 * stack's tables, so that it is not answered for, is nobody's source, and costs a packet nothing. Who answers, or asks in the same way
 * at the same time, has it: it is then duplicated, and stays unused until it is taken away or set again, or the interface comes up again.
 */
import { Callout } from '../../kern/callout.ts';
import type { AddrState } from '../../kern/ifnet/ifioctl.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { type IpAddr, copyAddr } from '../../wire/addr.ts';
import { addrToString } from '../../wire/addrtext.ts';
import { ARP_REQUEST } from '../../wire/arp.ts';
import { macToString } from '../../wire/ethernet.ts';
import type { Arp } from './arp.ts';

/** RFC 5227 §1.1: at most so long until the first probe, from one to the next, and from the last until the address counts as free. */
const PROBE_WAIT_MS = 1000;
const PROBE_MIN_MS = 1000;
const PROBE_MAX_MS = 2000;
const ANNOUNCE_WAIT_MS = 2000;

/** An address that somebody wants this host to have. */
export class Candidate {
  readonly addr: IpAddr;
  readonly plen: number;
  readonly peer: IpAddr | null;
  state: AddrState = 'tentative';
  probesLeft = 0;
  readonly timer: Callout<Candidate>;

  constructor(kernel: Kernel, addr: IpAddr, plen: number, peer: IpAddr | null, due: (self: Candidate) => void) {
    this.addr = copyAddr(addr);
    this.plen = plen;
    this.peer = peer === null ? null : copyAddr(peer);
    this.timer = new Callout(kernel.callouts, due, this as Candidate);
  }
}

export class Dad {
  /** Few, and none most of the time. */
  readonly list: Candidate[] = [];
  readonly #arp: Arp;
  readonly #assign: (candidate: Candidate) => void;

  /** `assign` is told of an address that nobody else has. */
  constructor(arp: Arp, assign: (candidate: Candidate) => void) {
    this.#arp = arp;
    this.#assign = assign;
  }

  find(addr: IpAddr): Candidate | null {
    return this.list.find((c) => c.addr.w3 === addr.w3) ?? null;
  }

  /** Takes an address, and asks for it once the interface is up. One that was duplicated is asked for again. */
  add(addr: IpAddr, plen: number, peer: IpAddr | null): void {
    this.remove(addr);
    const candidate = new Candidate(this.#arp.kernel, addr, plen, peer, (due) => this.#next(due));
    this.list.push(candidate);
    this.#start(candidate);
  }

  remove(addr: IpAddr): boolean {
    const at = this.list.findIndex((c) => c.addr.w3 === addr.w3);
    if (at < 0) return false;
    this.list[at]?.timer.stop();
    this.list.splice(at, 1);
    return true;
  }

  /** The interface came up, with a new address perhaps, or went down: who has what may have changed. */
  restart(): void {
    for (const candidate of this.list) this.#start(candidate);
  }

  stop(): void {
    for (const { timer } of this.list) timer.stop();
    this.list.length = 0;
  }

  #start(candidate: Candidate): void {
    candidate.timer.stop();
    candidate.state = 'tentative';
    candidate.probesLeft = this.#arp.config.dadCount;
    if (this.#arp.nif.up) candidate.timer.reset(this.#random(PROBE_WAIT_MS));
  }

  #random(ms: number): number {
    return this.#arp.kernel.random.u32() % (ms + 1);
  }

  #next(candidate: Candidate): void {
    if (candidate.probesLeft <= 0) {
      this.remove(candidate.addr);
      this.#assign(candidate);
      return;
    }
    candidate.probesLeft--;
    this.#arp.probe(candidate.addr.w3);
    const more = candidate.probesLeft > 0;
    candidate.timer.reset(more ? PROBE_MIN_MS + this.#random(PROBE_MAX_MS - PROBE_MIN_MS) : ANNOUNCE_WAIT_MS);
  }

  /** An ARP packet of another station (RFC 5227 §2.1.1): one that has the address, or one that asks for it before using it, as we do. */
  heard(oper: number, spa: number, tpa: number, mac: Uint8Array): void {
    const { stat, log, nif } = this.#arp;
    for (const candidate of this.list) {
      const { w3 } = candidate.addr;
      if (candidate.state !== 'tentative' || (spa !== w3 && !(spa === 0 && tpa === w3 && oper === ARP_REQUEST))) continue;
      candidate.state = 'duplicated';
      candidate.timer.stop();
      stat.dadconflicts++;
      log.error(
        { if: nif.ifp.name(), addr: addrToString(candidate.addr), by: macToString(mac) },
        'address is not used: another host has it',
      );
    }
  }
}
