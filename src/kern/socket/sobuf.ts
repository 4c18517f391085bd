/**
 * Which `Sockbuf` a socket has. While a socket's buffer holds nothing, `so.rcv` or `so.snd` is a shared one with the same limits that stays
 * empty for ever (its pool gives nothing), so that everybody reads `so.snd.cc` or `so.rcv.space()` as of any other, and an idle
 * connection pays one reference. Whoever is about to write asks for a real one here; whoever has emptied it gives it back.
 */
import type { BufPool } from './bufpool.ts';
import { NO_POOL, Sockbuf } from './sockbuf.ts';
import type { Socket } from './socket.ts';

/** Kinds of limits that are shared; when there are more, the table begins anew. */
const KINDS = 256;
/** Idle real buffers that are kept; more go to the garbage collector. */
const SPARE = 1024;

export class SockbufPool {
  readonly #bufpool: BufPool;
  readonly #kinds = new Map<string, Sockbuf>();
  readonly #spare: Sockbuf[] = [];

  constructor(bufpool: BufPool) {
    this.#bufpool = bufpool;
  }

  /** The shared empty buffer of these limits. */
  empty(hiwat: number, lowat: number): Sockbuf {
    const key = `${hiwat} ${lowat}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    // Buffers made before keep theirs: sharing saves memory and means nothing else.
    if (this.#kinds.size === KINDS) this.#kinds.clear();
    const sb = new Sockbuf(NO_POOL, hiwat, lowat);
    this.#kinds.set(key, sb);
    return sb;
  }

  /** A real buffer with the limits of a shared one. */
  take(home: Sockbuf): Sockbuf {
    const sb = this.#spare.pop() ?? new Sockbuf(this.#bufpool, home.hiwat, home.lowat);
    sb.limit(home);
    return sb;
  }

  /** Takes back a real buffer that holds nothing. */
  give(sb: Sockbuf): void {
    if (this.#spare.length < SPARE) this.#spare.push(sb);
  }
}

/** The buffer to append what is to be sent. */
export function sosndbuf(so: Socket): Sockbuf {
  const snd = so.snd as Sockbuf;
  return snd.home === snd ? (so.snd = so.kernel.sockbufs.take(snd)) : snd;
}

/** The buffer to append or place what came. */
export function sorcvbuf(so: Socket): Sockbuf {
  const rcv = so.rcv as Sockbuf;
  return rcv.home === rcv ? (so.rcv = so.kernel.sockbufs.take(rcv)) : rcv;
}

/** After something was taken out of `so.snd`. */
export function sosndrest(so: Socket): void {
  const snd = so.snd as Sockbuf;
  if (snd.home === snd || !snd.idle()) return;
  so.snd = snd.home;
  so.kernel.sockbufs.give(snd);
}

/** After something was taken out of `so.rcv`. */
export function sorcvrest(so: Socket): void {
  const rcv = so.rcv as Sockbuf;
  if (rcv.home === rcv || !rcv.idle()) return;
  so.rcv = rcv.home;
  so.kernel.sockbufs.give(rcv);
}

/** The same buffer with other limits; the low-water mark is at most the other. */
function limited(so: Socket, sb: Sockbuf, hiwat: number, lowat: number): Sockbuf {
  const home = so.kernel.sockbufs.empty(hiwat, lowat < hiwat ? lowat : hiwat);
  if (sb.home === sb) return home;
  sb.limit(home);
  return sb;
}

/** Sets the limits of the send buffer, bytes. */
export function sosndlimits(so: Socket, hiwat: number, lowat: number): void {
  so.snd = limited(so, so.snd as Sockbuf, hiwat, lowat);
}

/** Sets the limits of the receive buffer, bytes. */
export function sorcvlimits(so: Socket, hiwat: number, lowat: number): void {
  so.rcv = limited(so, so.rcv as Sockbuf, hiwat, lowat);
}
