/** A host with a stack, the full one (without TCP) unless told otherwise, on a raw link, in virtual time: 10.0.0.2/24, its peer is 10.0.0.1. */
import { SimWorld } from '../../../src/kern/effects/sim.ts';
import { type Errno, isErrno } from '../../../src/kern/errno.ts';
import { type IfAddrReq, SIOCADDRT, SIOCAIFADDR, type RtReq } from '../../../src/kern/ifnet/ifioctl.ts';
import type { Ifnet } from '../../../src/kern/ifnet/ifnet.ts';
import { Kernel } from '../../../src/kern/kernel.ts';
import type { ModuleSpec } from '../../../src/kern/module.ts';
import { Proc } from '../../../src/kern/proc/proc.ts';
import { sobind, soconnect, socreate } from '../../../src/kern/socket/calls.ts';
import { soreceivefrom } from '../../../src/kern/socket/sendrecv.ts';
import { SocketHandler } from '../../../src/kern/socket/handler.ts';
import { AF_INET, SOCK_DGRAM, type SockAddr } from '../../../src/kern/socket/protosw.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { inetModule } from '../../../src/stacks/inet/inetmodule.ts';
import type { InetSockAddr } from '../../../src/wire/addr.ts';
import { sockAddr } from '../../../src/wire/addr.ts';
import { addrToString, parseAddr, parsePrefix } from '../../../src/wire/addrtext.ts';
import { RawLink, type RawLinkOptions } from '../../support/rawlink.ts';
import { OUR_IP, PEER_IP, PEER_MAC, arp, stringOf } from './frames.ts';

export interface HostOptions extends RawLinkOptions {
  readonly env?: Record<string, string>;
  readonly addr?: string | null;
  /** The peer has asked for us already, so that its address is known. Default true. */
  readonly peerKnown?: boolean;
  readonly startMs?: number;
  /** Default: the full stack without TCP. */
  readonly stack?: ModuleSpec;
}

/** Thrown for an error where a value is needed. */
export function ok<T>(r: T | Errno): T {
  if (isErrno(r)) throw new Error(`unexpected ${String(r)}`);
  return r as T;
}

export const at = (ip: string, port: number): InetSockAddr => sockAddr(parseAddr(ip)!, port);

export class Host {
  readonly world: SimWorld;
  readonly kernel: Kernel;
  readonly link: RawLink;
  readonly ifp: Ifnet;
  readonly proc: Proc;

  constructor(options: HostOptions = {}) {
    const { env = {}, addr = `${OUR_IP}/24`, peerKnown = true, startMs = 0, stack = inetModule(null) } = options;
    this.world = new SimWorld({ seed: 11, startMs, log: 'info' });
    this.kernel = new Kernel(this.world.effects('host'), env);
    const failure = this.kernel.modules.preload(stack) ?? this.kernel.boot();
    if (failure !== null) throw new Error(failure.message);
    this.link = new RawLink(options);
    this.ifp = ok(this.kernel.ifnets.attach('raw', 0, this.link.link()));
    this.proc = new Proc(this.kernel);
    this.ifp.setUp(true);
    if (addr === null) return;
    this.addAddr(this.ifp, addr);
    this.run(5000);
    if (peerKnown) this.link.inject(arp());
    this.run(0);
    this.link.takeAll();
  }

  addAddr(ifp: Ifnet, prefix: string, dst?: string): void {
    const { addr, len } = parsePrefix(prefix)!;
    const req: IfAddrReq = { name: ifp.name(), addr, prefixLen: len, ...(dst === undefined ? {} : { dst: parseAddr(dst)! }) };
    ok(this.ioctl(SIOCAIFADDR, req));
  }

  addRoute(prefix: string, gateway: string, fib = 0): void {
    const { addr, len } = parsePrefix(prefix)!;
    const req: RtReq = { dst: addr, prefixLen: len, gateway: parseAddr(gateway)!, fib };
    ok(this.ioctl(SIOCADDRT, req));
  }

  ioctl(cmd: number, data: unknown): Errno | null {
    return this.kernel.netstack.current.ioctl(cmd, data);
  }

  run(ms: number): void {
    this.world.run(ms);
  }

  /** Puts frames in and answers what the host sent at once. */
  exchange(...frames: Uint8Array[]): Uint8Array[] {
    this.link.inject(frames);
    this.run(0);
    return this.link.take();
  }

  /** What left, after everything that is due now. */
  sent(): Uint8Array[] {
    this.run(0);
    return this.link.take();
  }

  count(group: string, name: string): number {
    const value = this.kernel.counters.get(group, name);
    if (value === undefined) throw new Error(`no counter ${group}.${name}`);
    return value;
  }

  sysctl(name: string, value: number | boolean): void {
    ok(this.kernel.sysctl.write(name, value));
  }

  socket(type = SOCK_DGRAM, protocol = 0): Socket {
    return ok(socreate(this.kernel, AF_INET, type, protocol, this.proc));
  }

  /** A UDP socket at `port`, connected to `peer` if there is one. */
  udp(port = 0, peer?: SockAddr): Socket {
    const so = this.socket();
    if (port !== 0) ok(sobind(so, at('0.0.0.0', port)));
    if (peer !== undefined) ok(soconnect(so, peer));
    return so;
  }
}

/** The next message of a socket as `from text`, or the error. */
export function receive(so: Socket, max = 65536): string {
  const buf = new Uint8Array(max);
  const got = soreceivefrom(so, buf, 0, max, 0);
  if (isErrno(got)) return got;
  const from = got.from?.kind === 'inet' ? `${addrToString(got.from.addr)}:${got.from.port}` : '?';
  return `${from} ${stringOf(buf.subarray(0, got.n))}`;
}

/** A handler that notes what it is told, and takes every datagram. */
export class Notes extends SocketHandler {
  readonly lines: string[] = [];
  override datagram(_so: Socket, from: SockAddr, bytes: Uint8Array, off: number, len: number): boolean {
    const who = from.kind === 'inet' ? `${addrToString(from.addr)}:${from.port}` : '?';
    this.lines.push(`${who} ${stringOf(bytes.subarray(off, off + len))}`);
    return true;
  }
}

export { OUR_IP, PEER_IP, PEER_MAC };
