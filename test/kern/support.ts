/** What the kernel's tests share: kernels in virtual time, a link that can be looked into, a stack that notes what it is told. */
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { type Errno, type Result, isErrno } from '../../src/kern/errno.ts';
import type { Ifnet } from '../../src/kern/ifnet/ifnet.ts';
import { type Link, type LinkInfo, type LinkMethods, type LinkUp, linkInterface } from '../../src/kern/ifnet/link.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { bindObject, defineClass } from '../../src/kern/kobj.ts';
import { KERN_CONTRACT, type ModuleInstance, type ModuleSpec } from '../../src/kern/module.ts';
import { type NetstackMethods, netstackInterface } from '../../src/kern/netstack.ts';
import { RxPacket, TX_SLOT, TxPacket } from '../../src/kern/packet.ts';
import type { Undo } from '../../src/kern/undo.ts';

export interface TestKernel {
  readonly world: SimWorld;
  readonly kernel: Kernel;
}

export function newKernel(env: Record<string, string> = {}, log = 'info'): TestKernel {
  const world = new SimWorld({ seed: 7, log });
  return { world, kernel: new Kernel(world.effects('k'), env) };
}

export function bootedKernel(env: Record<string, string> = {}): TestKernel {
  const test = newKernel(env);
  const failure = test.kernel.boot();
  if (failure !== null) throw new Error(failure.message);
  return test;
}

/** The value of a result that must be one. */
export function ok<T>(r: Result<T>): T {
  if (isErrno(r)) throw new Error(`unexpected ${r}`);
  return r as T;
}

/** A link in memory: what was sent, and a way to deliver. */
export class TestLink {
  readonly sent: Uint8Array[] = [];
  readonly calls: string[] = [];
  up: LinkUp | null = null;
  flushes = 0;
  /** Slots that may be out at a time. */
  slots = 4;
  out = 0;
  startError: Errno | null = null;
  transmitError: Errno | null = null;
  readonly linkInfo: LinkInfo;

  constructor(info: Partial<LinkInfo> = {}) {
    this.linkInfo = {
      type: 'ethernet',
      lladdr: Uint8Array.of(0x02, 0, 0, 0, 0, 1),
      mtu: 1500,
      maxMtu: 9000,
      capabilities: 0,
      tsoMax: 0,
      ...info,
    };
  }

  link(): Link {
    return bindObject(testLinkClass, this);
  }

  /** One frame from the wire, as its own batch. */
  deliver(bytes: Uint8Array): void {
    const pkt = new RxPacket(bytes);
    pkt.end = bytes.length;
    this.up?.begin();
    this.up?.input(pkt);
    this.up?.end();
  }
}

const testLinkClass = defineClass<TestLink, LinkMethods>({
  name: 'testlink',
  implements: linkInterface,
  methods: {
    info: (self) => self.linkInfo,
    start: (self, up) => {
      self.calls.push('start');
      if (self.startError !== null) return self.startError;
      self.up = up;
      return null;
    },
    stop: (self) => {
      self.calls.push('stop');
      self.up = null;
    },
    txAlloc: (self) => {
      if (self.out >= self.slots) return null;
      self.out++;
      return new TxPacket(new Uint8Array(TX_SLOT), 0, 0);
    },
    transmit: (self, pkt) => {
      if (self.transmitError !== null) {
        self.out--;
        return self.transmitError;
      }
      const copy = new Uint8Array(pkt.length());
      pkt.copyTo(copy, 0);
      self.sent.push(copy);
      return null;
    },
    txFree: (self) => void self.out--,
    flush: (self) => {
      self.flushes++;
      self.out = 0;
    },
    setUp: (self, up) => (self.calls.push(`up ${up}`), null),
    setMtu: (self, mtu) => (self.calls.push(`mtu ${mtu}`), null),
    setLladdr: (self) => (self.calls.push('lladdr'), null),
    setCapEnable: (self, bits) => (self.calls.push(`caps ${bits}`), null),
    ioctl: (self, cmd) => (self.calls.push(`ioctl ${cmd}`), cmd === 1 ? null : 'EOPNOTSUPP'),
  },
});

/** Notes what a stack is told, and takes every interface unless it is to decline. */
export class TestStack {
  readonly calls: string[] = [];
  readonly frames: number[] = [];
  caps = 0;
  fibs = 1;
  decline: Errno | null = null;

  methods(): NetstackMethods {
    return bindObject(testStackClass, this);
  }
}

const testStackClass = defineClass<TestStack, NetstackMethods>({
  name: 'teststack',
  implements: netstackInterface,
  methods: {
    capabilities: (self) => self.caps,
    validFib: (self, fib) => fib >= 0 && fib < self.fibs,
    ifAttach: (self, ifp: Ifnet) => {
      self.calls.push(`attach ${ifp.name()}`);
      return self.decline ?? ((pkt) => void self.frames.push(pkt.end - pkt.off));
    },
    ifDetach: (self, ifp: Ifnet) => void self.calls.push(`detach ${ifp.name()}`),
    ifChanged: (self, ifp: Ifnet) => void self.calls.push(`changed ${ifp.name()}`),
  },
});

type Create = (kernel: Kernel, own: (undo: Undo) => void) => ModuleInstance;

/** A module with the least that one needs. */
export function mod(name: string, more: Partial<ModuleSpec> = {}, create: Create = () => ({})): ModuleSpec {
  return { name, version: 1, contract: KERN_CONTRACT, create, ...more };
}

/** A module whose stack is `stack`. */
export function stackModule(stack: TestStack, name = 'test', more: Partial<ModuleInstance> = {}): ModuleSpec {
  return mod(`netstack_${name}`, {}, (kernel, own) => ({
    event: (what) => {
      if (what !== 'load') return 'EOPNOTSUPP';
      const methods = stack.methods();
      const err = kernel.netstack.register(name, methods);
      if (err === null) own(() => kernel.netstack.unregister(methods));
      return err;
    },
    ...more,
  }));
}
