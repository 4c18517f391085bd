/**
 * The registry of modules (module(9), kldload(2), kldunload(2)): preloads them at start-up in the order of their dependencies, loads
 * and unloads them at run time. A module that fails to load leaves nothing behind.
 */
import type { Errno } from './errno.ts';
import { Veto } from './event.ts';
import type { Kernel } from './kernel.ts';
import {
  KERNEL_MODULE,
  KERN_CONTRACT,
  type KernFailure,
  type Mod,
  type ModuleDepend,
  type ModuleEvent,
  type ModuleSpec,
  type ModuleStat,
  NETSTACK_PREFIX,
  NOP_ANSWER,
  type Queued,
  checkSpec,
  chooseVersion,
  entriesOf,
  needs,
  unmetNeed,
} from './modlink.ts';
import { AF_LOCAL } from './socket/protosw.ts';
import { type SysinitEntry, compareEntries } from './sysinit.ts';
import { type Undo, UndoList, once } from './undo.ts';

export {
  KERNEL_MODULE,
  KERN_CONTRACT,
  type KernFailure,
  type ModuleDepend,
  type ModuleEvent,
  type ModuleInstance,
  type ModuleSpec,
  type ModuleStat,
  NETSTACK_PREFIX,
  chooseVersion,
} from './modlink.ts';

export interface PreloadOptions {
  /** The kernel boots without it when it fails. */
  readonly optional?: boolean;
}

export class ModuleRegistry {
  /** Why optional modules are missing. */
  readonly failures: KernFailure[] = [];
  /** Why the boot stopped, when a module was the reason. */
  fatal: KernFailure | null = null;
  /** Finds a module by name, path or package, for kldload(2); whoever knows where modules are sets it. */
  finder: ((name: string) => Promise<ModuleSpec | KernFailure>) | null = null;
  readonly #kernel: Kernel;
  /** Linked and loaded, in the order of linking. */
  readonly #table = new Map<string, Mod>();
  readonly #queue: Queued[] = [];
  /** May be pulled in by a dependency. */
  readonly #offers: ModuleSpec[] = [];
  #nextId = 2;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Makes a module available to those that depend on it; it is loaded only when one does. Several versions may be offered. */
  offer(spec: ModuleSpec): KernFailure | null {
    const problem = checkSpec(spec);
    if (problem !== null) return this.#fail('ENOEXEC', problem);
    if (this.#offers.some(({ name, version }) => name === spec.name && version === spec.version)) {
      return this.#fail('EEXIST', `module ${spec.name} version ${spec.version} already present`);
    }
    this.#offers.push(spec);
    return null;
  }

  /**
   * Queues a module for the start-up. EEXIST: the name is taken; ENOEXEC: built for another contract, or malformed; EBUSY: the
   * kernel has started. Whether its dependencies are there shows when the kernel boots.
   */
  preload(spec: ModuleSpec, options: PreloadOptions = {}): KernFailure | null {
    const problem = checkSpec(spec);
    if (problem !== null) return this.#fail('ENOEXEC', problem);
    if (this.#kernel.state() !== 'new') return this.#fail('EBUSY', `cannot preload ${spec.name}: the kernel has started`);
    if (this.#queue.some((queued) => queued.spec.name === spec.name)) return this.#duplicate(spec.name);
    this.#queue.push({ spec, optional: options.optional ?? false });
    return null;
  }

  /** Start-up (SI_SUB_KLD): links what was preloaded as its dependencies allow, and schedules it. Fails if a required one is left. */
  linkPreloaded(): KernFailure | null {
    this.#pullOffers();
    for (let progress = true; progress;) {
      progress = false;
      for (const item of [...this.#queue]) {
        if (this.#unmet(item.spec) !== null) continue;
        this.#queue.splice(this.#queue.indexOf(item), 1);
        progress = true;
        const mod = this.#link(item.spec, item.optional);
        if ('err' in mod) {
          if (!item.optional) return (this.fatal = mod);
          this.failures.push(mod);
        } else {
          this.#schedule(mod);
        }
      }
    }
    const left = this.#queue.map((item) => ({ ...item, reason: this.#unmet(item.spec) }));
    this.#queue.length = 0;
    for (const { spec, optional, reason } of left) {
      const failure = this.#fail('ENOEXEC', `module ${spec.name} ${reason}`);
      if (!optional) return (this.fatal = failure);
      this.failures.push(failure);
    }
    return null;
  }

  /** Adds what is depended on and offered to the queue, until nothing more is wanted. */
  #pullOffers(): void {
    for (let i = 0; i < this.#queue.length; i++) {
      const { spec, optional } = this.#queue[i] as Queued;
      for (const need of spec.depends ?? []) {
        if (need.name === KERNEL_MODULE || this.#queue.some((queued) => queued.spec.name === need.name)) continue;
        const offer = this.#offered(need);
        if (offer !== null) this.#queue.push({ spec: offer, optional });
      }
    }
  }

  #offered(need: ModuleDepend): ModuleSpec | null {
    return chooseVersion(
      need,
      this.#offers.filter((spec) => spec.name === need.name),
    );
  }

  #unmet(spec: ModuleSpec): string | null {
    const queued = (name: string) => this.#queue.find((item) => item.spec.name === name)?.spec.version;
    return unmetNeed(spec, (name) => this.#table.get(name)?.spec.version, queued, this.#offers);
  }

  /** Makes the module's record; its dependencies are in the table. */
  #link(spec: ModuleSpec, optional: boolean): Mod | KernFailure {
    const undos = new UndoList();
    const deps = (spec.depends ?? []).map((need) => this.#table.get(need.name)).filter((dep) => dep !== undefined);
    const mod: Mod = {
      id: this.#nextId++,
      spec,
      optional,
      undos,
      instance: {},
      state: 'linked',
      deps,
      holders: new Set(),
      loadEntry: null,
      entries: [],
      unschedule: null,
    };
    try {
      mod.instance = spec.create(this.#kernel, undos.own);
      mod.entries = entriesOf(mod.instance).map((entry) => this.#guardEntry(mod, entry));
    } catch (error) {
      undos.run();
      return this.#fail('ENOEXEC', `module ${spec.name} cannot be created: ${String(error)}`);
    }
    this.#table.set(spec.name, mod);
    return mod;
  }

  /** Start-up: `load` comes at the module's level, but not before its dependencies. */
  #schedule(mod: Mod): void {
    const { name, order = 'ANY' } = mod.spec;
    const level = mod.spec.level ?? (name.startsWith(NETSTACK_PREFIX) ? 'NETSTACK' : 'KLD');
    let entry: SysinitEntry = { level, order, name: `load ${name}`, run: () => this.#bootLoad(mod), undo: () => this.#bury(mod) };
    for (const { loadEntry: at } of mod.deps) {
      if (at !== null && compareEntries(at, entry) > 0) entry = { ...entry, level: at.level, order: at.order };
    }
    mod.loadEntry = entry;
    mod.unschedule = this.#kernel.sysinit.add(entry);
  }

  /** An optional module's failure is noted and the boot goes on; a required one's ends it. */
  #bootLoad(mod: Mod): Errno | null {
    const failure = this.#event(mod);
    if (failure !== null) return this.#bootFailure(mod, failure);
    mod.unschedule = this.#kernel.sysinit.add(...mod.entries);
    return null;
  }

  #bootFailure(mod: Mod, failure: KernFailure): Errno | null {
    const lost = [...this.#table.values()].filter((other) => other !== mod && needs(other, mod));
    this.#abandon(mod);
    if (![mod, ...lost].every((other) => other.optional)) {
      this.fatal ??= failure;
      return failure.err;
    }
    this.failures.push(failure);
    for (const other of lost)
      this.failures.push(this.#fail('ENOEXEC', `module ${other.spec.name} lost ${mod.spec.name}, which failed`));
    return null;
  }

  /** Sends `load`. */
  #event(mod: Mod): KernFailure | null {
    const { name } = mod.spec;
    const err = this.#send(mod, 'load');
    if (err !== null) {
      this.#send(mod, 'unload');
      mod.undos.run();
      return this.#fail('ENOEXEC', `module ${name} failed to load: ${err}`);
    }
    mod.state = 'loaded';
    this.#kernel.log.debug({ module: name, version: mod.spec.version }, 'module loaded');
    return null;
  }

  /** Runs an event handler; a throw is a failure like any other. */
  #send(mod: Mod, what: ModuleEvent): Errno | null {
    if (mod.instance.event === undefined) return NOP_ANSWER[what];
    try {
      return answerOf(mod.instance.event(what));
    } catch (error) {
      this.#kernel.log.error({ module: mod.spec.name, event: what, error: String(error) }, 'module threw');
      return 'ENOEXEC';
    }
  }

  /** A module's entry with the module's name on it, and its throw turned into a failure. */
  #guardEntry(mod: Mod, entry: SysinitEntry): SysinitEntry {
    const name = `${mod.spec.name}: ${entry.name}`;
    const guarded = (fn: () => Errno | null): Errno | null => {
      try {
        return answerOf(fn());
      } catch (error) {
        this.#kernel.log.error({ module: mod.spec.name, entry: entry.name, error: String(error) }, 'module threw');
        return 'ENOEXEC';
      }
    };
    return {
      level: entry.level,
      order: entry.order,
      name,
      run: () => {
        const err = guarded(() => entry.run());
        if (err === null || this.#kernel.state() !== 'booting') return err;
        return this.#bootFailure(mod, this.#fail('ENOEXEC', `module ${name}: ${err} at ${entry.level}`));
      },
      // The entry whose failure took an optional module out has not run, though the start-up went on.
      undo: () => void (mod.state === 'gone' || guarded(() => (entry.undo?.(), null))),
    };
  }

  /**
   * Loads a module into a running kernel, with what it depends on and is offered. EEXIST: it is there already; ENOEXEC: it cannot be
   * loaded, and the message says why; EBUSY: the kernel is starting (preload it) or down. Start-up is over, so a module that
   * registers address families, ioctl groups or system calls is refused and rolled back.
   */
  load(spec: ModuleSpec): KernFailure | null {
    const problem = checkSpec(spec);
    if (problem !== null) return this.#fail('ENOEXEC', problem);
    if (this.#kernel.state() !== 'up')
      return this.#fail('EBUSY', `cannot load ${spec.name}: the kernel is ${this.#kernel.state()}`);
    const pulled: string[] = [];
    const failure = this.#loadNow(spec, [], pulled);
    if (failure === null) return null;
    for (const name of pulled.reverse()) this.#abandon(this.#table.get(name) as Mod);
    return failure;
  }

  /** `path` is who asked; `pulled` collects what was loaded for others. */
  #loadNow(spec: ModuleSpec, path: readonly string[], pulled: string[]): KernFailure | null {
    const { name } = spec;
    if (this.#table.has(name)) return this.#duplicate(name);
    if (path.includes(name)) return this.#fail('ENOEXEC', `module ${name} depends on itself: ${[...path, name].join(' -> ')}`);
    for (const need of spec.depends ?? []) {
      const offer = need.name === KERNEL_MODULE || this.#table.has(need.name) ? null : this.#offered(need);
      const failure = offer === null ? null : this.#loadNow(offer, [...path, name], pulled);
      if (failure !== null) return failure;
      if (this.#table.get(need.name)?.state === 'unloading') {
        return this.#fail('ENOEXEC', `module ${name} depends on ${need.name}, which is being unloaded`);
      }
    }
    const unmet = this.#unmet(spec);
    if (unmet !== null) return this.#fail('ENOEXEC', `module ${name} ${unmet}`);
    const failure = this.#start(spec);
    if (failure === null && path.length > 0) pulled.push(name);
    return failure;
  }

  #start(spec: ModuleSpec): KernFailure | null {
    const mod = this.#link(spec, false);
    if ('err' in mod) return mod;
    const failure = this.#event(mod);
    if (failure !== null) {
      this.#bury(mod);
      return failure;
    }
    // Nothing is left to do here; the entry is what a shutdown takes back.
    mod.loadEntry = { level: 'KLD', order: 'ANY', name: `load ${spec.name}`, run: () => null, undo: () => this.#bury(mod) };
    this.#kernel.sysinit.runNow([mod.loadEntry]);
    const stopped = this.#kernel.sysinit.runNow(mod.entries);
    if (stopped !== null) {
      this.#abandon(mod);
      return this.#fail('ENOEXEC', `module ${stopped.entry.name}: ${stopped.err} at ${stopped.entry.level}`);
    }
    this.#kernel.events.invoke('kld_load', this.#stat(mod));
    return null;
  }

  /** Takes a module out by force, with all that depend on it: it failed, or what it needs did. */
  #abandon(mod: Mod): void {
    for (const other of [...this.#table.values()].reverse()) if (other.deps.includes(mod)) this.#abandon(other);
    if (mod.state === 'loaded') this.#send(mod, 'unload');
    this.#takeApart(mod);
  }

  #takeApart(mod: Mod): void {
    mod.unschedule?.();
    this.#kernel.sysinit.undo(mod.loadEntry === null ? mod.entries : [mod.loadEntry, ...mod.entries]);
    this.#bury(mod);
  }

  /** The last of it: what it registered goes, last first. */
  #bury(mod: Mod): void {
    mod.undos.run();
    mod.state = 'gone';
    if (this.#table.get(mod.spec.name) === mod) this.#table.delete(mod.spec.name);
  }

  /**
   * Unloads a module. ENOENT: not loaded; EOPNOTSUPP: a network stack, which stays; EBUSY: somebody needs it, and the message names
   * them; or the module's own veto. `force` overrides `quiesce` only. System calls of the module drain first: the promise settles
   * when it is gone. After a veto nothing has changed.
   */
  async unload(name: string, force = false): Promise<KernFailure | null> {
    const mod = this.#table.get(name);
    if (name === KERNEL_MODULE) return this.#fail('EBUSY', 'the kernel itself cannot be unloaded');
    if (mod === undefined) return this.#fail('ENOENT', `module ${name} is not loaded`);
    const veto = this.#vetoes(mod, force);
    if (veto !== null) return veto;
    mod.state = 'unloading';
    await this.#kernel.syscalls.drainModule(name);
    const stat = this.#stat(mod);
    this.#takeApart(mod);
    this.#kernel.events.invoke('kld_unload', stat);
    return null;
  }

  /** References, event handlers, quiesce, unload: the first no is the answer. */
  #vetoes(mod: Mod, force: boolean): KernFailure | null {
    const { name } = mod.spec;
    if (mod.state !== 'loaded')
      return this.#fail('EBUSY', `module ${name} is being ${mod.state === 'linked' ? 'loaded' : 'unloaded'}`);
    const holders = this.#holders(mod);
    if (name.startsWith(NETSTACK_PREFIX)) {
      holders.push(...this.#stackUsers());
      if (holders.length === 0) return this.#fail('EOPNOTSUPP', `${name} is the network stack and stays until shutdown`);
    }
    if (holders.length > 0) return this.#fail('EBUSY', `module ${name} is in use by ${holders.join(', ')}`);
    const veto = new Veto();
    this.#kernel.events.invoke('kld_unload_try', this.#stat(mod), veto);
    if (veto.err !== null) return this.#fail('EBUSY', `unloading ${name} was refused: ${veto.reason}`);
    const quiesce = this.#send(mod, 'quiesce');
    const calm = quiesce === null || quiesce === 'EOPNOTSUPP' || quiesce === 'EINVAL';
    if (!calm && !force) return this.#fail(quiesce, `module ${name} does not come to rest: ${quiesce}`);
    const err = this.#send(mod, 'unload');
    return err === null ? null : this.#fail(err, `module ${name} refused to unload: ${err}`);
  }

  #holders(mod: Mod): string[] {
    const dependents = [...this.#table.values()].filter((other) => other.deps.includes(mod)).map((other) => other.spec.name);
    return [...dependents, ...[...mod.holders].map((holder) => holder.name)];
  }

  /** Who keeps the network stack busy: sockets of its families with their owners, and the interfaces that it has taken. */
  #stackUsers(): string[] {
    const { domains, ifnets } = this.#kernel;
    const owners = new Map<string, number>();
    for (const so of domains.sockets.all()) {
      if (so.domain.family !== AF_LOCAL) owners.set(so.owner, (owners.get(so.owner) ?? 0) + 1);
    }
    const n = [...owners.values()].reduce((sum, count) => sum + count, 0);
    const sockets = [...owners].map(([owner, count]) => `${owner} ${count}`).join(', ');
    const interfaces = ifnets.all().map((ifp) => ifp.name());
    return [
      ...(n > 0 ? [`${n} ${n === 1 ? 'socket' : 'sockets'} (${sockets})`] : []),
      ...(interfaces.length > 0 ? [`${interfaces.length === 1 ? 'interface' : 'interfaces'} ${interfaces.join(' ')}`] : []),
    ];
  }

  /** Keeps a module loaded on behalf of `holder`. ENOENT: not loaded; EBUSY: on its way out. */
  hold(name: string, holder: string): Undo | Errno {
    const mod = this.#table.get(name);
    if (mod === undefined) return 'ENOENT';
    if (mod.state === 'unloading') return 'EBUSY';
    const entry = { name: holder };
    mod.holders.add(entry);
    return once(() => void mod.holders.delete(entry));
  }

  /** MOD_SHUTDOWN to all, the last loaded first. */
  shutdown(): void {
    for (const mod of [...this.#table.values()].reverse()) if (mod.state === 'loaded') this.#send(mod, 'shutdown');
  }

  /** As kldstat(8): the kernel, then modules by id. */
  list(): ModuleStat[] {
    const mods = [...this.#table.values()].filter((mod) => mod.state !== 'linked').map((mod) => this.#stat(mod));
    return [{ id: 1, refs: 1 + mods.length, name: KERNEL_MODULE, version: KERN_CONTRACT }, ...mods];
  }

  /** kldload(2): finds a module by name and loads it. ENOENT: there is none of that name; else as `load`. */
  async loadByName(name: string): Promise<ModuleStat | KernFailure> {
    if (this.#table.has(name)) return this.#fail('EEXIST', `module ${name} is loaded already`);
    const offer = this.#offers.find((spec) => spec.name === name);
    const spec = offer ?? (this.finder === null ? null : await this.finder(name));
    if (spec === null) return this.#fail('ENOENT', `there is no module ${name}`);
    if ('err' in spec) return this.#fail(spec.err, spec.message);
    const { name: stack } = this.#kernel.netstack;
    if (spec.name.startsWith(NETSTACK_PREFIX) && stack !== 'none') {
      return this.#fail(
        'ENOEXEC',
        `${spec.name} cannot be loaded: the network stack ${stack} is in use, and stays until shutdown`,
      );
    }
    const failure = this.load(spec);
    if (failure !== null) return failure;
    return this.#stat(this.#table.get(spec.name) as Mod);
  }

  /** Name of the module with this number, as kldunload(8) takes it; null for none. */
  nameOf(id: number): string | null {
    return this.list().find((stat) => stat.id === id)?.name ?? null;
  }

  /** As `list`, with who needs each. */
  describe(): (ModuleStat & { readonly holders: readonly string[] })[] {
    return this.list().map((stat) => {
      const mod = this.#table.get(stat.name);
      return { ...stat, holders: mod === undefined ? [] : this.#holders(mod) };
    });
  }

  /** Names of the modules that are offered to dependencies. */
  offers(): string[] {
    return [...new Set(this.#offers.map((spec) => spec.name))].sort();
  }

  #stat(mod: Mod): ModuleStat {
    return { id: mod.id, refs: 1 + this.#holders(mod).length, name: mod.spec.name, version: mod.spec.version };
  }

  #duplicate(name: string): KernFailure {
    return this.#fail('EEXIST', `cannot register ${name}; already loaded`);
  }

  #fail(err: Errno, message: string): KernFailure {
    this.#kernel.log.error({ err }, message);
    return { err, message };
  }
}

/** A module in plain JavaScript that has nothing to complain of may return nothing. */
function answerOf(returned: Errno | null | undefined): Errno | null {
  return returned ?? null;
}
