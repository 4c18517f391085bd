/** A host of a simulation: a kernel with a stack, interfaces where it is plugged in, and Node's API over it. */
import type http from 'node:http';
import type { PcapOptions } from '../driver/pcapng.ts';
import { createLo } from '../driver/lo.ts';
import type { SimWorld } from '../kern/effects/sim.ts';
import { type Errno, isErrno } from '../kern/errno.ts';
import { type IfAddrReq, SIOCAIFADDR } from '../kern/ifnet/ifioctl.ts';
import type { Ifnet } from '../kern/ifnet/ifnet.ts';
import type { Link, LinkInfo } from '../kern/ifnet/link.ts';
import { Kernel } from '../kern/kernel.ts';
import type { ModuleSpec } from '../kern/module.ts';
import type { Lookup } from '../node/connect.ts';
import type { Dgram } from '../node/dgram.ts';
import { type NetAgent, listenHttp } from '../node/http.ts';
import type { ListenOptions, Net, NetServer } from '../node/net.ts';
import { netmodModule as alt } from '../stacks/alt/module.ts';
import { netmodModule as inet } from '../stacks/inet/module.ts';
import { parsePrefix } from '../wire/addrtext.ts';
import { Capture } from './capture.ts';
import type { Place } from './cable.ts';
import { type Observer, observe } from './observer.ts';
import { hostDgram, hostHttp, hostNet } from './web.ts';

export interface HostOptions {
  /** `inet` (the default), `alt`, or the module of a stack of one's own. */
  readonly stack?: 'inet' | 'alt' | ModuleSpec;
  /** Kernel environment: tunables, as `--set` of the loader. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a host takes from its simulation. */
export interface HostContext {
  readonly world: SimWorld;
  readonly lookup: Lookup;
  /** Who looks at a new interface from its first frame on. */
  newInterface(): Iterable<Observer>;
}

/** An interface's link, and who looks at it. */
interface Plugged {
  readonly info: LinkInfo;
  readonly observers: Set<Observer>;
}

const STACKS = { inet, alt } as const;

export class SimHost implements Place {
  readonly name: string;
  readonly kernel: Kernel;
  /** Node's `net`, `dgram` and `http` on this host; `agent` for requests of code that has `http` from elsewhere. */
  readonly net: Net;
  readonly dgram: Dgram;
  readonly http: typeof http;
  readonly agent: NetAgent;
  /** Numeric addresses in the order they came. */
  readonly addresses: string[] = [];
  readonly #context: HostContext;
  readonly #plugged = new Map<Ifnet, Plugged>();

  constructor(context: HostContext, name: string, options: HostOptions = {}) {
    const { stack = 'inet', env = {} } = options;
    this.name = name;
    this.#context = context;
    this.kernel = new Kernel(context.world.effects(name), env);
    const spec = typeof stack === 'string' ? STACKS[stack] : stack;
    const failure = this.kernel.modules.preload(spec) ?? this.kernel.boot();
    if (failure !== null) throw new Error(`${name}: ${failure.message}`);
    this.net = hostNet(this.kernel, context.lookup);
    this.dgram = hostDgram(this.kernel, context.lookup);
    const { http, agent } = hostHttp(this.net);
    this.http = http;
    this.agent = agent;
    this.#configure('lo', createLo(this.kernel.effects), '127.0.0.1/8');
  }

  /** The first address. Throws while the host has none. */
  get address(): string {
    const [first] = this.addresses;
    if (first === undefined) throw new Error(`${this.name} is not plugged in: it has no address`);
    return first;
  }

  /** Lets an `http.Server` of Node's own answer here. Closing what this returns leaves the server as it is. */
  serve(server: http.Server, listen: ListenOptions): NetServer {
    return listenHttp(this.net, server, listen);
  }

  /** Plugs a link in, with an address such as `10.0.0.1/24`. Cables do this. */
  attach(link: Link, address: string): Ifnet {
    const observers = new Set<Observer>(this.#context.newInterface());
    const ifp = this.#configure('sim', observe(link, observers), address);
    this.#plugged.set(ifp, { info: link.info(), observers });
    this.addresses.push(address.slice(0, address.indexOf('/')));
    return ifp;
  }

  #configure(dname: string, link: Link, address: string): Ifnet {
    const prefix = parsePrefix(address);
    if (prefix === null) throw new TypeError(`${this.name}: not an address with a prefix: ${address}`);
    const ifp = this.kernel.ifnets.attach(dname, dname === 'lo' ? 0 : this.#plugged.size, link);
    if (isErrno(ifp)) throw new Error(`${this.name}: cannot attach an interface: ${ifp}`);
    const req: IfAddrReq = { name: ifp.name(), addr: prefix.addr, prefixLen: prefix.len };
    const err: Errno | null = ifp.setUp(true) ?? this.kernel.netstack.current.ioctl(SIOCAIFADDR, req);
    if (err !== null) throw new Error(`${this.name}: ${address}: ${err}`);
    return ifp;
  }

  /** Interfaces in the order they were plugged in; `sim0` is the first. */
  interfaces(): readonly Ifnet[] {
    return [...this.#plugged.keys()];
  }

  /** Captures what crosses an interface (the first one), as pcapng, from now on. */
  capture(options: { readonly ifp?: Ifnet; readonly limitBytes?: number } & Pick<PcapOptions, 'snapLen'> = {}): Capture {
    const { ifp = this.interfaces()[0], limitBytes, ...rest } = options;
    const plugged = ifp === undefined ? undefined : this.#plugged.get(ifp);
    if (ifp === undefined || plugged === undefined) throw new Error(`${this.name} has no such interface`);
    const pcap: PcapOptions = { name: `${this.name} ${ifp.name()}`, clock: this.kernel.clock, ...rest };
    const capture: Capture = new Capture(plugged.info, pcap, () => void plugged.observers.delete(capture), limitBytes);
    plugged.observers.add(capture);
    return capture;
  }
}
