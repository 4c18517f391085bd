/**
 * Programs for simulations, on sockets of the kernel and without promises, so that thousands of runs are cheap: ends of connections that
 * send a stream nobody can confuse with another, and check every byte they receive on the spot.
 */
import { type Errno, isErrno } from '../../src/kern/errno.ts';
import { type SimRandom } from '../../src/kern/effects/sim.ts';
import {
  soabort,
  soaccept,
  sobind,
  soclose,
  soconnect,
  socreate,
  solisten,
  soshutdown,
  sotakeerror,
} from '../../src/kern/socket/calls.ts';
import { soreceive, sosend, sosendref } from '../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_STREAM } from '../../src/kern/socket/protosw.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import type { SimHost } from '../../src/sim/host.ts';
import type { Simulation } from '../../src/sim/simulation.ts';
import { sockAddr } from '../../src/wire/addr.ts';
import { parseAddr } from '../../src/wire/addrtext.ts';

export const BUF = 65536;

/** Byte `i` of stream `id`: no two places look alike, nor two streams. */
function fill(out: Uint8Array, len: number, id: number, from: number): void {
  for (let k = 0; k < len; k++) {
    const i = from + k;
    out[k] = Math.imul(i ^ (i >>> 15) ^ id, 0x9e3779b1) >>> 19;
  }
}

export interface EndOptions {
  /** Number of the stream that it sends, and of the one it expects. */
  readonly out: number;
  readonly in: number;
  /** Bytes to send; the writing side is shut down behind them. */
  readonly bytes: number;
  /** Reads so much and then waits so long, and so on. Default: all there is, at once. */
  readonly readMax?: number;
  readonly readPauseMs?: number;
  /** Writes at most this much at a time. */
  readonly writeMax?: number;
}

/** One end of a connection. */
export class End {
  so: Socket | null;
  sent = 0;
  got = 0;
  /** The peer's stream has ended; the connection has died of this. */
  eof = false;
  error: Errno | null = null;
  readonly #sim: Simulation;
  readonly #options: EndOptions;
  readonly #buf = new Uint8Array(BUF);
  readonly #want = new Uint8Array(BUF);
  /** Half of the connections send without a copy, out of buffers that are not used again. */
  readonly #byRef: boolean;
  #shut = false;
  /** Bytes that it still reads before it waits, and the end of the wait. */
  #readLeft: number;
  #readAtMs = 0;

  constructor(sim: Simulation, so: Socket, options: EndOptions) {
    this.#sim = sim;
    this.so = so;
    this.#options = options;
    this.#readLeft = options.readMax ?? Infinity;
    this.#byRef = (((options.out >> 1) ^ options.bytes) & 1) === 1;
  }

  get finished(): boolean {
    return this.so === null || this.error !== null || (this.eof && this.#shut);
  }

  /** Does what can be done now. Throws for a byte that is not the next one of the peer's stream. */
  step(): void {
    if (this.so === null || this.error !== null) return;
    this.#write(this.so);
    this.#read(this.so);
  }

  #write(so: Socket): void {
    const { bytes, out, writeMax = BUF } = this.#options;
    while (this.sent < bytes && this.error === null && !this.#shut) {
      const len = Math.min(writeMax, bytes - this.sent, BUF);
      const buf = this.#byRef && so.snd.space() >= so.snd.lowat ? new Uint8Array(len) : this.#buf;
      fill(buf, len, out, this.sent);
      const n = buf === this.#buf ? sosend(so, buf, 0, len) : sosendref(so, buf, 0, len);
      if (n === 'EAGAIN') return;
      if (isErrno(n)) return this.#fail(n);
      this.sent += n;
    }
    if (this.sent === bytes) this.shutdown();
  }

  #read(so: Socket): void {
    const { readMax = Infinity, readPauseMs = 0 } = this.#options;
    while (!this.eof && this.error === null) {
      if (this.#sim.nowMs() < this.#readAtMs) return;
      const n = soreceive(so, this.#buf, 0, Math.min(BUF, this.#readLeft), 0);
      if (n === 'EAGAIN') return;
      if (isErrno(n)) return this.#fail(n);
      if (n === 0) {
        this.eof = true;
        return;
      }
      this.#check(n);
      this.#readLeft -= n;
      if (this.#readLeft > 0) continue;
      this.#readLeft = readMax;
      this.#readAtMs = this.#sim.nowMs() + readPauseMs;
      // An event at that time, so that somebody looks.
      this.#sim.setTimeout(() => undefined, readPauseMs);
    }
  }

  #check(n: number): void {
    fill(this.#want, n, this.#options.in, this.got);
    for (let k = 0; k < n; k++) {
      if (this.#buf[k] === this.#want[k]) continue;
      throw new Error(`byte ${this.got + k} of stream ${this.#options.in} is wrong`);
    }
    this.got += n;
  }

  #fail(err: Errno): void {
    this.error = err;
  }

  /** No more of its own stream. */
  shutdown(): void {
    if (this.so === null || this.#shut) return;
    this.#shut = true;
    const err = soshutdown(this.so, 'wr');
    if (err !== null && err !== 'ENOTCONN') this.#fail(err);
  }

  close(): void {
    if (this.so === null) return;
    this.error ??= sotakeerror(this.so);
    soclose(this.so);
    this.so = null;
  }

  abort(): void {
    if (this.so !== null) soabort(this.so);
    this.so = null;
  }
}

export function listen(host: SimHost, port: number, backlog = 128): Socket {
  const so = socreate(host.kernel, AF_INET, SOCK_STREAM, 0, null);
  if (isErrno(so)) throw new Error(so);
  const err = sobind(so, sockAddr(parseAddr('0.0.0.0')!, port)) ?? solisten(so, backlog);
  if (err !== null) throw new Error(err);
  return so;
}

export function connect(host: SimHost, to: SimHost, port: number): Socket {
  const so = socreate(host.kernel, AF_INET, SOCK_STREAM, 0, null);
  if (isErrno(so)) throw new Error(so);
  const err = soconnect(so, sockAddr(parseAddr(to.address)!, port));
  if (err !== null && err !== 'EINPROGRESS') throw new Error(err);
  return so;
}

/** The next connection, if there is one. */
export function accept(listener: Socket): Socket | null {
  const so = soaccept(listener);
  return isErrno(so) ? null : so;
}

/**
 * Two ends from `a` to `b`; fails when three attempts bring none. One may: when the handshake's last ACK and its repetitions are lost, a
 * client that says nothing stands while the server has given up, and neither ever learns of it (RFC 9293 §3.5.1 calls it half-open).
 */
export function connected(
  sim: Simulation,
  a: SimHost,
  b: SimHost,
  listener: Socket,
  port: number,
  maxMs = 300_000,
): [Socket, Socket] {
  for (let attempt = 0; attempt < 3; attempt++) {
    const client = connect(a, b, port);
    let server: Socket | null = null;
    if (sim.runUntil(() => (server = accept(listener)) !== null, maxMs / 3)) return [client, server!];
    soabort(client);
  }
  throw new Error(`no connection within ${maxMs} ms`);
}

/** A choice from a list by random numbers. */
export function pick<T>(random: SimRandom, from: readonly T[]): T {
  return from[random.below(from.length)]!;
}

/**
 * What is left when everything had the time to go: TIME-WAIT, peers that do not answer; and, with the cables cut so that hosts do not
 * remind each other, neighbours and paths.
 */
export function leftAfterAll(sim: Simulation): string[] {
  sim.run(3_600_000);
  for (const cable of sim.cables()) cable.cut();
  sim.run(3_600_000);
  return sim.leftovers();
}
