/**
 * Protocol control blocks by their addresses (in_pcb.c): those with a peer in a keyed hash table over both ends, those without by local
 * port, so that the many do not stand in the way of the few; and all of them by local port. What UDP looks up for each datagram.
 */
import { type IpAddr, IpAddrBuf, addrEqual, isAny } from '../../wire/addr.ts';
import { hashAddr, mix } from './hash.ts';

const MIN_BUCKETS = 64;

/** Addresses and ports of a socket; `lport` 0: not bound, `connected`: it has a peer. */
export class InPcb {
  readonly laddr = new IpAddrBuf();
  lport = 0;
  readonly faddr = new IpAddrBuf();
  fport = 0;
  connected = false;
  hash = 0;
  chain: InPcb | null = null;
}

export class PcbTable<P extends InPcb> {
  /** Control blocks that have a local port. */
  size = 0;
  readonly #seed: number;
  #buckets: (InPcb | null)[] = new Array<InPcb | null>(MIN_BUCKETS).fill(null);
  #connected = 0;
  /** By local port, the youngest first. */
  readonly #ports = new Map<number, P[]>();
  /** Of these, the ones without a peer. */
  readonly #open = new Map<number, P[]>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  #hashOf(laddr: IpAddr, lport: number, faddr: IpAddr, fport: number): number {
    return mix(hashAddr(hashAddr(this.#seed, faddr), laddr), (fport << 16) | lport);
  }

  /** The one with exactly this local address and peer. */
  findConnected(laddr: IpAddr, lport: number, faddr: IpAddr, fport: number): P | null {
    if (this.#connected === 0) return null;
    const hash = this.#hashOf(laddr, lport, faddr, fport);
    let p = this.#buckets[hash & (this.#buckets.length - 1)] as InPcb | null;
    while (p !== null) {
      if (p.hash === hash && p.lport === lport && p.fport === fport && addrEqual(p.faddr, faddr) && addrEqual(p.laddr, laddr))
        return p as P;
      p = p.chain;
    }
    return null;
  }

  /** Who gets a packet to `laddr`: connected, else bound to the address, else bound to any. */
  lookup(laddr: IpAddr, lport: number, faddr: IpAddr, fport: number): P | null {
    const exact = this.findConnected(laddr, lport, faddr, fport);
    if (exact !== null) return exact;
    const list = this.#open.get(lport);
    if (list === undefined) return null;
    let wild: P | null = null;
    for (let i = 0; i < list.length; i++) {
      const p = list[i] as P;
      if (addrEqual(p.laddr, laddr)) return p;
      if (wild === null && isAny(p.laddr)) wild = p;
    }
    return wild;
  }

  /** All with this local port, the youngest first. Not to be changed by its reader. */
  onPort(lport: number): readonly P[] {
    return this.#ports.get(lport) ?? [];
  }

  /** Gives a control block without a peer its place by `lport`, which is not 0. */
  bind(p: P): void {
    addTo(this.#ports, p);
    addTo(this.#open, p);
    this.size++;
  }

  unbind(p: P): void {
    removeFrom(this.#open, p);
    if (removeFrom(this.#ports, p)) this.size--;
  }

  /** The control block has its peer's address now. */
  connect(p: P): void {
    if (this.#connected >= this.#buckets.length) this.#grow();
    removeFrom(this.#open, p);
    p.connected = true;
    p.hash = this.#hashOf(p.laddr, p.lport, p.faddr, p.fport);
    const i = p.hash & (this.#buckets.length - 1);
    p.chain = this.#buckets[i] as InPcb | null;
    this.#buckets[i] = p;
    this.#connected++;
  }

  /** Before the peer's address is taken away. */
  disconnect(p: P): void {
    if (!p.connected) return;
    const i = p.hash & (this.#buckets.length - 1);
    let at = this.#buckets[i] as InPcb | null;
    if (at === p) this.#buckets[i] = p.chain;
    else {
      while (at !== null && at.chain !== p) at = at.chain;
      if (at !== null) at.chain = p.chain;
    }
    p.chain = null;
    p.connected = false;
    this.#connected--;
    addTo(this.#open, p);
  }

  #grow(): void {
    const old = this.#buckets;
    const buckets = new Array<InPcb | null>(old.length * 2).fill(null);
    for (const head of old) {
      for (let p = head; p !== null;) {
        const next = p.chain;
        const i = p.hash & (buckets.length - 1);
        p.chain = buckets[i] as InPcb | null;
        buckets[i] = p;
        p = next;
      }
    }
    this.#buckets = buckets;
  }

  list(): P[] {
    return [...this.#ports.values()].flat();
  }
}

// A new list each time: somebody may be walking the old one.

function addTo<P extends InPcb>(ports: Map<number, P[]>, p: P): void {
  ports.set(p.lport, [p, ...(ports.get(p.lport) ?? [])]);
}

/** False if it was not there. */
function removeFrom<P extends InPcb>(ports: Map<number, P[]>, p: P): boolean {
  const list = ports.get(p.lport) ?? [];
  const rest = list.filter((other) => other !== p);
  if (rest.length === 0) ports.delete(p.lport);
  else ports.set(p.lport, rest);
  return rest.length < list.length;
}
