/**
 * Addresses on their way to being ours (RFC 5227 §2.1, §2.3): one that is to be asked for is tentative, and in no other table, until three
 * probes were not answered; one that is taken is announced twice. A fixed table, one timer; a packet never comes here but ARP.
 */
import { Callout } from '../../kern/callout.ts';
import type { Errno } from '../../kern/errno.ts';
import type { AddrState } from '../../kern/ifnet/ifioctl.ts';
import { ipv4 } from '../../wire/addr.ts';
import { addrToString } from '../../wire/addrtext.ts';
import { ARP_REQUEST } from '../../wire/arp.ts';
import { macToString } from '../../wire/ethernet.ts';
import type { Alt } from './alt.ts';
import type { NetIf } from './netif.ts';
import { MAX_ADDRS } from './route.ts';
import { at, byteAt } from './slab.ts';

const FREE = 0;
/** Waits for its interface to come up; asks; is somebody else's; is ours, and is announced once more. */
const WAITING = 1;
const PROBING = 2;
const DUPLICATED = 3;
const ANNOUNCING = 4;

/** RFC 5227 §1.1, in milliseconds. */
const PROBE_WAIT = 1000;
const PROBE_MIN = 1000;
const PROBE_MAX = 2000;
const ANNOUNCE_WAIT = 2000;
const ANNOUNCE_INTERVAL = 2000;

/** Rows: all addresses that the stack can have, and as many that it cannot have. */
const ROWS = 2 * MAX_ADDRS;

export class Dad {
  readonly #s: Alt;
  readonly #timer: Callout<null>;
  readonly #state = new Uint8Array(ROWS);
  readonly #addr = new Int32Array(ROWS);
  readonly #len = new Uint8Array(ROWS);
  readonly #bcast = new Int32Array(ROWS);
  readonly #ix = new Int32Array(ROWS);
  readonly #left = new Uint8Array(ROWS);
  readonly #due = new Int32Array(ROWS);
  /** Rows that ARP packets matter to. */
  probing = 0;

  constructor(s: Alt) {
    this.#s = s;
    this.#timer = new Callout(s.kernel.callouts, () => this.#tick(), null);
  }

  #find(addr: number): number {
    for (let k = 0; k < ROWS; k++) if (this.#state[k] !== FREE && at(this.#addr, k) === addr) return k;
    return -1;
  }

  #set(k: number, state: number): void {
    if (this.#state[k] === PROBING) this.probing--;
    if (state === PROBING) this.probing++;
    this.#state[k] = state;
  }

  /** Asks for an address on an Ethernet before it is used. EEXIST while it is being asked for, ENOSPC. */
  probe(nif: NetIf, addr: number, prefixLen: number, bcast: number): Errno | null {
    let k = this.#find(addr);
    if (k >= 0 && (this.#state[k] !== DUPLICATED || at(this.#ix, k) !== nif.ix)) return 'EEXIST';
    if (k < 0) k = this.#state.indexOf(FREE);
    if (k < 0) return 'ENOSPC';
    this.#addr[k] = addr;
    this.#len[k] = prefixLen;
    this.#bcast[k] = bcast;
    this.#ix[k] = nif.ix;
    this.#start(k);
    this.#sleep();
    return null;
  }

  /** An address that is ours from now on: it is announced, and again in two seconds. */
  announce(nif: NetIf, addr: number): void {
    this.#s.arp.announce(nif, addr);
    let k = this.#find(addr);
    if (k < 0) k = this.#state.indexOf(FREE);
    // Without a row the first announcement has to do.
    if (k < 0 || !nif.ethernet || !nif.isUp()) return;
    this.#addr[k] = addr;
    this.#ix[k] = nif.ix;
    this.#set(k, ANNOUNCING);
    this.#due[k] = (this.#now() + ANNOUNCE_INTERVAL) | 0;
    this.#sleep();
  }

  /** Forgets an address; true if it was not in use. */
  forget(ix: number, addr: number): boolean {
    const k = this.#find(addr);
    if (k < 0 || at(this.#ix, k) !== ix) return false;
    const unused = this.#state[k] !== ANNOUNCING;
    this.#set(k, FREE);
    return unused;
  }

  forgetAll(ix: number): void {
    for (let k = 0; k < ROWS; k++) if (this.#state[k] !== FREE && at(this.#ix, k) === ix) this.#set(k, FREE);
  }

  stop(): void {
    this.#timer.stop();
  }

  /** The interface came up or went down: who has what may have changed meanwhile. */
  changed(ix: number): void {
    const up = this.#s.ifs[ix]?.isUp() === true;
    for (let k = 0; k < ROWS; k++) {
      const state = this.#state[k];
      if (state === FREE || state === ANNOUNCING || at(this.#ix, k) !== ix) continue;
      if (!up) this.#set(k, WAITING);
      else if (state === WAITING) this.#start(k);
    }
    this.#sleep();
  }

  #start(k: number): void {
    const up = this.#s.ifs[at(this.#ix, k)]?.isUp() === true;
    this.#set(k, up ? PROBING : WAITING);
    this.#left[k] = this.#s.cfg.dadCount;
    this.#due[k] = (this.#now() + this.#random(PROBE_WAIT)) | 0;
  }

  #random(ms: number): number {
    return this.#s.kernel.random.u32() % (ms + 1);
  }

  #now(): number {
    if (!this.#s.kernel.netisr.active()) this.#s.time.refresh();
    return this.#s.time.ms;
  }

  #sleep(): void {
    const now = this.#now();
    let next = -1;
    for (let k = 0; k < ROWS; k++) {
      if (this.#state[k] !== PROBING && this.#state[k] !== ANNOUNCING) continue;
      const left = Math.max(0, (at(this.#due, k) - now) | 0);
      if (next < 0 || left < next) next = left;
    }
    if (next >= 0) this.#timer.reset(next);
    else this.#timer.stop();
  }

  #tick(): void {
    const now = this.#now();
    for (let k = 0; k < ROWS; k++) {
      const state = this.#state[k];
      if ((state !== PROBING && state !== ANNOUNCING) || ((at(this.#due, k) - now) | 0) > 0) continue;
      const nif = this.#s.ifs[at(this.#ix, k)] ?? null;
      if (nif === null) this.#set(k, FREE);
      else if (state === PROBING) this.#next(k, nif, now);
      else {
        this.#set(k, FREE);
        this.#s.arp.announce(nif, at(this.#addr, k));
      }
    }
    this.#sleep();
  }

  #next(k: number, nif: NetIf, now: number): void {
    const { arp, routes, log } = this.#s;
    const addr = at(this.#addr, k);
    const left = byteAt(this.#left, k);
    if (left > 0) {
      this.#left[k] = left - 1;
      arp.probe(nif, addr);
      this.#due[k] = (now + (left > 1 ? PROBE_MIN + this.#random(PROBE_MAX - PROBE_MIN) : ANNOUNCE_WAIT)) | 0;
      return;
    }
    this.#set(k, FREE);
    const err = routes.addAddr(nif.ix, addr, byteAt(this.#len, k), at(this.#bcast, k));
    if (err === null) {
      this.announce(nif, addr);
      if (nif.ifp !== null) this.#s.kernel.events.invoke('ifaddr_event', nif.ifp);
    } else log.error({ if: nif.ifp?.name(), addr: addrToString(ipv4(addr)), err }, 'address cannot be used');
  }

  /** RFC 5227 §2.1.1: another station has the address, or asks for it as we do. [sha, sha + 6) of `b` is its hardware address. */
  heard(nif: NetIf, oper: number, spa: number, tpa: number, b: Uint8Array, sha: number): void {
    for (let k = 0; k < ROWS; k++) {
      const addr = at(this.#addr, k);
      if (this.#state[k] !== PROBING || at(this.#ix, k) !== nif.ix) continue;
      if (spa !== addr && !(spa === 0 && tpa === addr && oper === ARP_REQUEST)) continue;
      this.#set(k, DUPLICATED);
      this.#s.ct.arp.dadconflicts++;
      const fields = { if: nif.ifp?.name(), addr: addrToString(ipv4(addr)), mac: macToString(b.slice(sha, sha + 6)) };
      this.#s.log.error(fields, 'address is not used: another station has it');
    }
  }

  /** Those that are not in use. */
  list(): { addr: number; ix: number; prefixLen: number; state: AddrState }[] {
    const rows = [];
    for (let k = 0; k < ROWS; k++) {
      const state = byteAt(this.#state, k);
      if (state === FREE || state === ANNOUNCING) continue;
      const word: AddrState = state === DUPLICATED ? 'duplicated' : 'tentative';
      rows.push({ addr: at(this.#addr, k), ix: at(this.#ix, k), prefixLen: byteAt(this.#len, k), state: word });
    }
    return rows;
  }
}
