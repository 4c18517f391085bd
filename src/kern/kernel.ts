/**
 * A kernel: one object that everything hangs on. It knows no protocol and no device; a stack and drivers come as modules. Several
 * kernels live in one process side by side.
 */
import { CalloutWheel } from './callout.ts';
import { Counters } from './counters.ts';
import { Diag } from './diag.ts';
import type { Clock, Effects, Log, RandomSource } from './effects.ts';
import { type Errno, isErrno } from './errno.ts';
import { EventHandlers } from './event.ts';
import { Bpf } from './ifnet/bpf.ts';
import { IfCloners } from './ifnet/ifclone.ts';
import { announceChange } from './ifnet/ifannounce.ts';
import { ifhwioctl } from './ifnet/ifioctl.ts';
import { Ifnets } from './ifnet/ifnets.ts';
import { IocGroups } from './ioctl.ts';
import { Kenv } from './kenv.ts';
import { addKernelCounters, bufLimit, kernelLeaves } from './mib.ts';
import { type KernFailure, ModuleRegistry, type ModuleStat } from './module.ts';
import { Netisr } from './netisr.ts';
import { NetstackSlot } from './netstack.ts';
import type { ResetStat } from './proc/kernsyscalls.ts';
import type { Proc } from './proc/proc.ts';
import { AcceptFilters } from './socket/accf.ts';
import { BufPool } from './socket/bufpool.ts';
import { Domains } from './socket/domain.ts';
import { socketEntries } from './socket/init.ts';
import { soresetall } from './socket/soreset.ts';
import { SockbufPool } from './socket/sobuf.ts';
import { SysctlTree } from './sysctl.ts';
import { Sysinit, type SysinitEntry } from './sysinit.ts';
import { SyscallTable } from './syscall.ts';
import { kernelTables } from './tables.ts';
import { KernTime } from './time.ts';
import { UuidSources } from './uuid.ts';

export class Kernel {
  readonly effects: Effects;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Log;
  readonly time: KernTime;
  readonly netisr: Netisr;
  readonly callouts: CalloutWheel;
  readonly bufpool: BufPool;
  readonly sockbufs: SockbufPool;
  readonly kenv: Kenv;
  readonly sysctl: SysctlTree;
  readonly counters = new Counters();
  readonly events = new EventHandlers();
  readonly sysinit: Sysinit;
  readonly modules: ModuleRegistry;
  readonly netstack = new NetstackSlot();
  readonly ifnets: Ifnets;
  /** Taps of interfaces, probes, and the interfaces that can be made by name. */
  readonly bpf: Bpf;
  readonly diag: Diag;
  readonly cloners: IfCloners;
  /** Processes that have not exited. */
  readonly procs = new Set<Proc>();
  readonly domains: Domains;
  readonly iocgroups: IocGroups;
  readonly syscalls: SyscallTable;
  readonly uuid: UuidSources;
  readonly accfilters = new AcceptFilters();
  /** Start of the kernel, milliseconds since the Unix epoch. */
  readonly bootTimeMs: number;
  #state: 'new' | 'booting' | 'up' | 'down' = 'new';

  constructor(effects: Effects, env: Readonly<Record<string, string>> = {}) {
    this.effects = effects;
    this.clock = effects.clock;
    this.random = effects.random;
    this.log = effects.log;
    this.bootTimeMs = effects.clock.realtimeMs();
    this.time = new KernTime(effects.clock);
    const { time } = this;
    this.netisr = new Netisr(effects, () => time.refresh());
    this.callouts = new CalloutWheel(time, this.netisr, effects.newTimer());
    this.kenv = new Kenv(env);
    this.sysctl = new SysctlTree(this.kenv, this.log.child('sysctl'));
    this.bufpool = new BufPool(bufLimit(this), this.netisr);
    this.sockbufs = new SockbufPool(this.bufpool);
    this.sysinit = new Sysinit(this.log.child('sysinit'));
    this.modules = new ModuleRegistry(this);
    this.ifnets = new Ifnets(this);
    this.bpf = new Bpf(this);
    this.diag = new Diag(() => this.bpf.refresh());
    this.cloners = new IfCloners(this);
    this.domains = new Domains(this.log.child('domain'));
    this.iocgroups = new IocGroups(this.log.child('ioctl'));
    this.iocgroups.setFallback('i', (_so, cmd, data) => ifhwioctl(this, cmd, data));
    this.iocgroups.done = (cmd, data) => announceChange(this, cmd, data);
    this.events.on('kld_load', (mod) => this.diag.load.publish({ action: 'load', ...idOf(mod) }));
    this.events.on('kld_unload', (mod) => this.diag.load.publish({ action: 'unload', ...idOf(mod) }));
    this.syscalls = new SyscallTable(this.log.child('syscall'));
    this.uuid = new UuidSources(effects.clock, effects.random);
    addKernelCounters(this);
    this.sysinit.add(...this.#entries(), ...socketEntries(this));
  }

  state(): 'new' | 'booting' | 'up' | 'down' {
    return this.#state;
  }

  /** The kernel's own part of the start-up. Modules bring theirs. */
  #entries(): SysinitEntry[] {
    return [
      { level: 'TUNABLES', order: 'FIRST', name: 'sysctls of the kernel', run: () => this.#addLeaves() },
      { level: 'KLD', order: 'MIDDLE', name: 'link preloaded modules', run: () => this.modules.linkPreloaded()?.err ?? null },
      {
        level: 'PROTO_IFATTACHDOMAIN',
        order: 'FIRST',
        name: 'freeze address families and ioctl groups',
        run: () => {
          this.domains.freeze();
          this.iocgroups.freeze();
          return null;
        },
      },
      {
        level: 'PROTO_IFATTACHDOMAIN',
        order: 'SECOND',
        name: 'join interfaces and stack',
        run: () => {
          this.ifnets.attachDomains();
          return null;
        },
        undo: () => this.ifnets.detachDomains(),
      },
      {
        // Behind all of SYSCALLS, whatever order a module has chosen there.
        level: 'VNET_DONE',
        order: 'FIRST',
        name: 'freeze system calls',
        run: () => {
          this.syscalls.freeze();
          return null;
        },
      },
    ];
  }

  #addLeaves(): Errno | null {
    for (const leaf of [...kernelLeaves(this), ...kernelTables(this)]) {
      const undo = this.sysctl.add(leaf);
      if (isErrno(undo)) return undo;
    }
    return null;
  }

  /**
   * Runs the start-up levels and freezes the registries. When an entry or a required module fails, everything is taken back and the
   * answer says what it was. A kernel boots once: EBUSY afterwards.
   */
  boot(): KernFailure | null {
    if (this.#state !== 'new') return { err: 'EBUSY', message: `the kernel is ${this.#state}` };
    this.#state = 'booting';
    const failed = this.sysinit.run();
    if (failed !== null) {
      const { entry, err } = failed;
      const failure = this.modules.fatal ?? { err, message: `${entry.name} (${entry.level}, ${entry.order}): ${err}` };
      this.#takeDown();
      return failure;
    }
    this.#state = 'up';
    this.sysctl.mark();
    this.log.info({ stack: this.netstack.name, modules: this.modules.list().length - 1 }, 'kernel is up');
    return null;
  }

  /**
   * The kernel as just booted: descriptors of all processes closed, the stack's connections and caches gone (`NetstackMethods.reset`),
   * counters 0, sysctls as they were at `sysctl.mark`. Listeners that no process has, addresses, routes and modules stay.
   */
  reset(): ResetStat {
    let sockets = 0;
    this.netisr.begin();
    for (const proc of this.procs) {
      sockets += proc.closeAll();
      proc.fib = 0;
    }
    soresetall(this);
    this.netstack.current.reset();
    this.netisr.end();
    this.bpf.ring.clear();
    const sysctls = this.sysctl.restore();
    // Last, because what went before counts too.
    return { sockets, counters: this.counters.reset(), sysctls };
  }

  /**
   * Takes everything back in reverse: modules hear of it, interfaces leave, the start-up is undone. All of it happens before it
   * returns; a second call does nothing. Who wants open connections to end well waits for `netstack.current.busy()` first.
   */
  shutdown(): void {
    if (this.#state !== 'up') return;
    this.events.invoke('shutdown_pre_sync');
    // What was sent so far leaves.
    this.netisr.begin();
    this.netisr.end();
    this.modules.shutdown();
    this.events.invoke('shutdown_post_sync');
    this.#takeDown();
  }

  #takeDown(): void {
    this.#state = 'down';
    this.ifnets.detachAll();
    this.sysinit.shutdown();
    this.events.invoke('shutdown_final');
    this.callouts.halt();
  }
}

function idOf({ id, name, version }: ModuleStat): { id: number; name: string; version: number } {
  return { id, name, version };
}
