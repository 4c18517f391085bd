/**
 * Contract of a network stack, and the slot that holds the current one. A stack is a module named `netstack_<name>` whose class
 * fills these methods; with no stack loaded the empty class answers, each method by its typed default.
 */
import type { IpAddr } from '../wire/addr.ts';
import type { Errno } from './errno.ts';
import type { Ifnet } from './ifnet/ifnet.ts';
import { type KobjClass, bindObject, defineClass, defineInterface } from './kobj.ts';
import type { RxPacket } from './packet.ts';
import type { Proc } from './proc/proc.ts';
import type { Socket } from './socket/socket.ts';

/** The stack takes super-frames (large receive); many queues. A driver turns off what its stack cannot take. */
export const NETSTACK_CAP_LRO = 1;
export const NETSTACK_CAP_MQ = 2;

/** A frame's way into a stack, bound at attach: link header first, in `pkt.bytes[pkt.off..pkt.end)`. */
export type FrameInput = (pkt: RxPacket) => void;

/** A control block that no socket stands for any more, or not yet: half open, closing after its user has gone, in TIME-WAIT. */
export interface OrphanPcb {
  readonly laddr: IpAddr;
  readonly lport: number;
  readonly faddr: IpAddr;
  readonly fport: number;
  /** As netstat(1) has it: SYN_RCVD, FIN_WAIT_1, TIME_WAIT, ... */
  readonly state: string;
  readonly fib: number;
  /** Bytes that are not acknowledged yet. */
  readonly sendq: number;
  /** TCP_INFO, where the record still has all of it. */
  readonly info: object | null;
  /** Name of the congestion control; null for a record without. */
  readonly cc: string | null;
}

export interface NetstackMethods {
  /** `NETSTACK_CAP_*` bits. Default 0. */
  capabilities(): number;
  /** A socket is being made for `proc`: set what the stack keeps on it (its FIB). Default: nothing. */
  socreate(so: Socket, proc: Proc | null): void;
  /** Is `fib` a routing table of this stack (setfib(2), SO_SETFIB)? Default: only 0. */
  validFib(fib: number): boolean;
  /** An interface arrives; returns its input routine. Default: ENXIO, and the interface counts its frames as `noproto`. */
  ifAttach(ifp: Ifnet): FrameInput | Errno;
  /** An interface leaves: forget its addresses, routes, neighbours. Default: nothing. */
  ifDetach(ifp: Ifnet): void;
  /** Flags, MTU, hardware address or capabilities of an interface changed. Default: nothing. */
  ifChanged(ifp: Ifnet): void;
  /** An interface ioctl without a socket (the loader's own). Default ENXIO. */
  ioctl(cmd: number, data: unknown): Errno | null;
  /** Control blocks of IP's protocol `protocol` that have no socket: the rest of `net.inet.*.pcblist`. Default: none. */
  orphans(protocol: number): readonly OrphanPcb[];
  /** Routing tables (net.fibs). Default 1. */
  fibs(): number;
  /**
   * Forgets what was learnt and what is under way, as if just loaded: connections end with a reset, half-open ones and TIME-WAIT go,
   * neighbours, routes that were learnt, path MTUs, reassembly. Listeners, addresses and static routes stay. Default: nothing.
   */
  reset(): void;
  /** Something is in flight (unsent data, closing connections). The loader waits for it at shutdown, within a limit. Default false. */
  busy(): boolean;
}

export const netstackInterface = defineInterface<NetstackMethods>('netstack', {
  capabilities: () => 0,
  socreate: () => undefined,
  validFib: (_self, fib) => fib === 0,
  ifAttach: () => 'ENXIO',
  ifDetach: () => undefined,
  ifChanged: () => undefined,
  ioctl: () => 'ENXIO',
  orphans: () => [],
  fibs: () => 1,
  reset: () => undefined,
  busy: () => false,
});

/** The class of "no stack". */
export const nullNetstack: KobjClass<null, NetstackMethods> = defineClass<null, NetstackMethods>({
  name: 'none',
  implements: netstackInterface,
  methods: {},
});

export class NetstackSlot {
  /** Name of the current stack, `none` without one. */
  name = nullNetstack.name;
  current: NetstackMethods = bindObject(nullNetstack, null);
  readonly #none = this.current;

  /** Takes `stack` as the kernel's one stack. EINVAL without one; EEXIST if there is another already. */
  register(name: string, stack: NetstackMethods | null): Errno | null {
    if (stack === null) return 'EINVAL';
    if (this.current !== this.#none) return 'EEXIST';
    this.name = name;
    this.current = stack;
    return null;
  }

  /** Back to no stack: for a module whose load failed behind its registration. */
  unregister(stack: NetstackMethods): void {
    if (this.current !== stack) return;
    this.name = nullNetstack.name;
    this.current = this.#none;
  }
}
