/** A booted kernel in virtual time, a handler that writes down what it is told, and a tiny protocol that the test plays itself. */
import { type Errno, isErrno } from '../../../src/kern/errno.ts';
import { SimWorld } from '../../../src/kern/effects/sim.ts';
import { Kernel } from '../../../src/kern/kernel.ts';
import { bindObject, defineClass } from '../../../src/kern/kobj.ts';
import { socreate } from '../../../src/kern/socket/calls.ts';
import { SocketHandler } from '../../../src/kern/socket/handler.ts';
import {
  AF_LOCAL,
  type Domain,
  PR_ADDR,
  PR_ATOMIC,
  PR_CONNREQUIRED,
  PR_WANTRCVD,
  type ProtoMethods,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  type SockAddr,
  type SockOpt,
  protoInterface,
} from '../../../src/kern/socket/protosw.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { soisconnecting, soisdisconnected, soisdisconnecting } from '../../../src/kern/socket/upcalls.ts';

export const AF_FAKE = 250;

/** What the fake protocol was asked to do. */
export class FakeState {
  readonly calls: string[] = [];
  readonly opts: SockOpt[] = [];
  /** The next listen, connect, attach or shutdown fails with this. */
  refuse: Errno | null = null;
}

const fakeClass = defineClass<FakeState, ProtoMethods>({
  name: 'fake',
  implements: protoInterface,
  methods: {
    attach: (self, so) => {
      self.calls.push('attach');
      so.pcb = {};
      return self.refuse;
    },
    detach: (self, so) => {
      self.calls.push('detach');
      so.pcb = null;
    },
    bind: () => null,
    listen: (self, _so, backlog) => {
      self.calls.push(`listen ${backlog}`);
      return self.refuse;
    },
    connect: (self, so) => {
      self.calls.push('connect');
      if (self.refuse === null) soisconnecting(so);
      return self.refuse;
    },
    disconnect: (self, so) => {
      self.calls.push('disconnect');
      soisdisconnecting(so);
      return null;
    },
    shutdown: (self) => {
      self.calls.push('shutdown');
      return self.refuse;
    },
    send: (self, so) => void self.calls.push(`send ${so.snd.cc}`),
    sendto: (self, _so, _bytes, _off, len) => {
      self.calls.push(`sendto ${len}`);
      return null;
    },
    rcvd: (self) => void self.calls.push('rcvd'),
    rcvoob: () => 33,
    abort: (self, so) => {
      self.calls.push('abort');
      soisdisconnected(so);
    },
    control: (self, _so, cmd) => {
      self.calls.push(`control ${cmd}`);
      return null;
    },
    ctloutput: (self, _so, sopt) => {
      self.opts.push(sopt);
      return 'ENOPROTOOPT';
    },
  },
});

export function fakeDomain(state: FakeState): Domain {
  const methods = bindObject(fakeClass, state);
  return {
    family: AF_FAKE,
    name: 'fake',
    protosw: [
      { name: 'fstream', type: SOCK_STREAM, protocol: 6, flags: PR_CONNREQUIRED | PR_WANTRCVD, methods },
      { name: 'fdgram', type: SOCK_DGRAM, protocol: 17, flags: PR_ATOMIC | PR_ADDR, methods },
      { name: 'fraw', type: SOCK_RAW, protocol: 0, flags: PR_ATOMIC | PR_ADDR, methods },
    ],
  };
}

export interface Bench {
  readonly world: SimWorld;
  readonly kernel: Kernel;
  readonly fake: FakeState;
}

export function bench(env: Record<string, string> = {}): Bench {
  const world = new SimWorld({ log: 'warn' });
  const kernel = new Kernel(world.effects('k'), env);
  const fake = new FakeState();
  const undo = kernel.domains.add(fakeDomain(fake));
  if (isErrno(undo)) throw new Error(undo);
  const failure = kernel.boot();
  if (failure !== null) throw new Error(failure.message);
  return { world, kernel, fake };
}

/** The value, or the test fails with the error's name. */
export function ok<T>(r: T | Errno): T {
  if (isErrno(r)) throw new Error(`unexpected ${r}`);
  return r;
}

export function fakeSocket({ kernel }: Bench, type = SOCK_STREAM): Socket {
  return ok(socreate(kernel, AF_FAKE, type, 0, null));
}

export function localSocket({ kernel }: Bench, type = SOCK_STREAM): Socket {
  return ok(socreate(kernel, AF_LOCAL, type, 0, null));
}

export const local = (path: string): SockAddr => ({ kind: 'local', path });

/** Writes down what happens, as `event:detail`; takes of the data what `take` says. */
export class Recorder extends SocketHandler {
  readonly log: string[] = [];
  take: (len: number) => number = () => 0;
  readonly got: number[] = [];
  inside: ((so: Socket) => void) | null = null;

  override accept(head: Socket): void {
    this.log.push('accept');
    this.inside?.(head);
  }
  override connected(): void {
    this.log.push('connected');
  }
  override data(so: Socket, bytes: Uint8Array, off: number, len: number): number {
    const n = this.take(len);
    this.log.push(`data:${len}`);
    for (let i = 0; i < Math.min(n, len); i++) this.got.push(bytes[off + i]!);
    this.inside?.(so);
    return n;
  }
  override datagram(so: Socket, _from: SockAddr, bytes: Uint8Array, off: number, len: number): boolean {
    const n = this.take(len);
    if (n <= 0) return false;
    this.log.push(`datagram:${len}`);
    for (let i = 0; i < len; i++) this.got.push(bytes[off + i]!);
    this.inside?.(so);
    return true;
  }
  override readable(): void {
    this.log.push('readable');
  }
  override writable(): void {
    this.log.push('writable');
  }
  override closed(so: Socket): void {
    this.log.push(so.error === null ? 'closed' : `closed:${so.error}`);
  }
}

export function watch(so: Socket): Recorder {
  const recorder = new Recorder();
  so.handler = recorder;
  return recorder;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (b: Uint8Array | readonly number[]): string => String.fromCharCode(...b);

/** n bytes that tell where they come from. */
export function pattern(n: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => ((from + i) * 7 + ((from + i) >> 8)) & 0xff);
}
