/**
 * Two kernels, a stack in each, and a wire between them, in virtual time: what every conformance case starts from. Host `a` is
 * 10.0.0.1, host `b` is 10.0.0.2, on one Ethernet.
 */
import { expect } from 'vitest';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { type Errno, type Result, isErrno } from '../../src/kern/errno.ts';
import type { Ifnet } from '../../src/kern/ifnet/ifnet.ts';
import { createLo } from '../../src/driver/lo.ts';
import { createPair } from '../../src/driver/pair.ts';
import type { Link } from '../../src/kern/ifnet/link.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import {
  POLLOUT,
  soaccept,
  sobind,
  soclose,
  soconnect,
  socreate,
  solisten,
  sopeeraddr,
  sopoll,
  sosockaddr,
} from '../../src/kern/socket/calls.ts';
import { soreceive, soreceivefrom, sosend, sosendto } from '../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM, type SockAddr } from '../../src/kern/socket/protosw.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { type InetSockAddr, sockAddr } from '../../src/wire/addr.ts';
import { addrToString, parseAddr } from '../../src/wire/addrtext.ts';
import { ifconfig } from '../support/ifconfig.ts';

export type MakeStack = () => ModuleSpec;

export interface WorldOptions {
  readonly seed?: number;
  /** Monotonic time at the start, ms: 32-bit times wrap at 2^31. */
  readonly startMs?: number;
  readonly mtu?: number;
  readonly offload?: boolean;
  /** Wraps or replaces the two ends of the wire. */
  readonly wrap?: (world: SimWorld, ends: [Link, Link]) => [Link, Link];
  /** Kernel environment of both hosts: tunables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Boots two kernels and joins them. `stopWorld` ends it. */
export function makeWorld(makeA: MakeStack, makeB: MakeStack, options: WorldOptions = {}): World {
  const sim = new SimWorld({ seed: options.seed ?? 1, startMs: options.startMs ?? 0 });
  const ends = createPair(sim.effects('wire'), { mtu: options.mtu ?? 1500, offload: options.offload ?? true, delayMs: 1 });
  const [linkA, linkB] = options.wrap?.(sim, ends) ?? ends;
  const host = (name: string, make: MakeStack, link: Link, address: string): Host => {
    const kernel = new Kernel(sim.effects(name), options.env);
    const err = kernel.modules.preload(make()) ?? kernel.boot();
    if (err !== null) throw new Error(`${name}: ${err.message}`);
    const lo = ok(kernel.ifnets.attach('lo', 0, createLo(kernel.effects)));
    ifconfig(kernel, lo, '127.0.0.1/8');
    const ifp = ok(kernel.ifnets.attach('pair', 0, link));
    ifconfig(kernel, ifp, `${address}/24`);
    return new Host(name, kernel, ifp, address);
  };
  return new World(sim, host('a', makeA, linkA, '10.0.0.1'), host('b', makeB, linkB, '10.0.0.2'));
}

export function stopWorld(w: World): void {
  w.a.kernel.shutdown();
  w.b.kernel.shutdown();
}

export const at = (text: string, port: number): InetSockAddr => {
  const addr = parseAddr(text);
  if (addr === null) throw new Error(`not an address: ${text}`);
  return sockAddr(addr, port);
};

/** The value of a result that must be one. */
export function ok<T>(r: Result<T>): T {
  if (isErrno(r)) throw new Error(`unexpected ${r}`);
  return r as T;
}

/** Addresses as text, for comparing. */
export function text(addr: SockAddr): string {
  return addr.kind === 'inet' ? `${addrToString(addr.addr)}:${addr.port}` : addr.path;
}

/** `n` bytes that repeat with a prime period, so that a block out of place shows. */
export function pattern(n: number, from = 0): Uint8Array {
  const out = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    const v = (from + i) % 16381;
    out[i] = v ^ (v >>> 7);
  }
  return out;
}

export class Host {
  readonly name: string;
  readonly kernel: Kernel;
  readonly ifp: Ifnet;
  readonly address: string;

  constructor(name: string, kernel: Kernel, ifp: Ifnet, address: string) {
    this.name = name;
    this.kernel = kernel;
    this.ifp = ifp;
    this.address = address;
  }

  socket(type: number, protocol = 0): Socket {
    return ok(socreate(this.kernel, AF_INET, type, protocol, null));
  }

  tcp(): Socket {
    return this.socket(SOCK_STREAM);
  }

  udp(port?: number): Socket {
    const so = this.socket(SOCK_DGRAM);
    if (port !== undefined) expect(sobind(so, at('0.0.0.0', port))).toBeNull();
    return so;
  }

  listener(port: number, backlog = 8): Socket {
    const so = this.tcp();
    expect(sobind(so, at('0.0.0.0', port))).toBeNull();
    expect(solisten(so, backlog)).toBeNull();
    return so;
  }
}

export class World {
  readonly sim: SimWorld;
  readonly a: Host;
  readonly b: Host;

  constructor(sim: SimWorld, a: Host, b: Host) {
    this.sim = sim;
    this.a = a;
    this.b = b;
  }

  run(ms: number): void {
    this.sim.run(ms);
  }

  /** Runs until `pred` holds; the case fails if it does not within `maxMs`. */
  until(pred: () => boolean, maxMs = 5_000, what = 'condition'): void {
    if (!this.sim.runUntil(pred, maxMs)) throw new Error(`${what} did not come within ${maxMs} ms: ${String(pred)}`);
  }

  /** Each host knows the other's hardware address afterwards: how many packets wait for one is a stack's own policy. */
  warm(): void {
    const { client, server, listener } = this.connected(9999);
    this.close(client, server, listener);
    this.run(1_000);
  }

  /** A connection from `a` to `b`: the two ends, and the listener. */
  connected(port = 80, maxMs = 5_000): { client: Socket; server: Socket; listener: Socket } {
    const listener = this.b.listener(port);
    const client = this.a.tcp();
    const err = soconnect(client, at(this.b.address, port));
    expect([null, 'EINPROGRESS']).toContain(err);
    const server = this.accept(listener, maxMs);
    this.until(() => (sopoll(client) & POLLOUT) !== 0, maxMs, 'the client’s connection');
    return { client, server, listener };
  }

  accept(listener: Socket, maxMs = 5_000): Socket {
    const got: { so: Socket | null } = { so: null };
    this.until(
      () => {
        const so = soaccept(listener);
        if (isErrno(so)) return false;
        got.so = so;
        return true;
      },
      maxMs,
      'a connection to accept',
    );
    return got.so!;
  }

  /** Sends all of `bytes`, waiting for room as needed. */
  sendAll(so: Socket, bytes: Uint8Array, maxMs = 60_000): void {
    const state = { off: 0 };
    this.until(
      () => {
        while (state.off < bytes.length) {
          const n = sosend(so, bytes, state.off, bytes.length - state.off);
          if (n === 'EAGAIN') return false;
          state.off += ok(n);
        }
        return true;
      },
      maxMs,
      'room to send',
    );
  }

  /** Receives until `n` bytes are there, or the end of the stream. */
  receive(so: Socket, n: number, maxMs = 60_000): Uint8Array {
    const out = new Uint8Array(n);
    const state = { at: 0, end: false };
    this.until(
      () => {
        while (state.at < n && !state.end) {
          const got = soreceive(so, out, state.at, n - state.at, 0);
          if (got === 'EAGAIN') return false;
          state.at += ok(got);
          state.end = got === 0;
        }
        return true;
      },
      maxMs,
      'data',
    );
    return out.subarray(0, state.at);
  }

  /** Both at once, for more than the buffers hold: `bytes` from one end to the other, compared byte by byte. */
  transfer(from: Socket, to: Socket, bytes: Uint8Array, maxMs = 600_000): void {
    const got = new Uint8Array(bytes.length);
    const state = { sent: 0, got: 0 };
    this.until(
      () => {
        while (state.sent < bytes.length) {
          const n = sosend(from, bytes, state.sent, bytes.length - state.sent);
          if (n === 'EAGAIN') break;
          state.sent += ok(n);
        }
        while (state.got < got.length) {
          const n = soreceive(to, got, state.got, got.length - state.got, 0);
          if (n === 'EAGAIN') break;
          if (n === 0) throw new Error(`end of the stream after ${state.got} of ${got.length} bytes`);
          state.got += ok(n);
        }
        return state.got === got.length;
      },
      maxMs,
      'the whole transfer',
    );
    expect(Buffer.compare(got, bytes)).toBe(0);
  }

  /** The end of the stream, an error's name, or what else `soreceive` answers once it does not say EAGAIN. */
  receiveOutcome(so: Socket, maxMs = 60_000): Result<number> {
    const buf = new Uint8Array(65536);
    const got: { r: Result<number> } = { r: 'EAGAIN' };
    this.until(() => (got.r = soreceive(so, buf, 0, buf.length, 0)) !== 'EAGAIN', maxMs, 'an outcome');
    return got.r;
  }

  datagram(so: Socket, maxMs = 5_000): { bytes: Uint8Array; from: string; truncated: boolean } {
    const buf = new Uint8Array(65536);
    const got: { r: { n: number; truncated: boolean; from: SockAddr | null } | Errno } = { r: 'EAGAIN' };
    this.until(() => (got.r = soreceivefrom(so, buf, 0, buf.length, 0)) !== 'EAGAIN', maxMs, 'a datagram');
    const { n, truncated, from } = ok(got.r as Result<{ n: number; truncated: boolean; from: SockAddr | null }>);
    return { bytes: buf.slice(0, n), truncated, from: from === null ? '' : text(from) };
  }

  sendTo(so: Socket, bytes: Uint8Array, to: SockAddr | null): Errno | null {
    return sosendto(so, bytes, 0, bytes.length, to);
  }

  local(so: Socket): string {
    return text(ok(sosockaddr(so) as Result<SockAddr>));
  }

  peer(so: Socket): string {
    return text(ok(sopeeraddr(so) as Result<SockAddr>));
  }

  close(...sockets: Socket[]): void {
    for (const so of sockets) soclose(so);
  }
}
