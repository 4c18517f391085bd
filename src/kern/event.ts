/**
 * EVENTHANDLER(9): named events with prioritised handlers. Handlers may come and go while an event is being delivered: one that
 * was taken away is not called any more, one that was added is called from the next event on.
 */
import type { Errno } from './errno.ts';
import type { RtReq } from './ifnet/ifioctl.ts';
import type { Ifnet } from './ifnet/ifnet.ts';
import type { ModuleStat } from './module.ts';
import type { Undo } from './undo.ts';

export const EVENTHANDLER_PRI_FIRST = 0;
export const EVENTHANDLER_PRI_ANY = 10000;
export const EVENTHANDLER_PRI_LAST = 20000;

/** A question that any handler may answer with no: the first refusal stands. */
export class Veto {
  err: Errno | null = null;
  reason = '';

  refuse(err: Errno, reason: string): void {
    if (this.err !== null) return;
    this.err = err;
    this.reason = reason;
  }
}

/** The kernel's events and what their handlers get. */
export interface KernEvents {
  ifnet_arrival_event: [ifp: Ifnet];
  ifnet_departure_event: [ifp: Ifnet];
  ifnet_link_event: [ifp: Ifnet, state: 'up' | 'down'];
  /** Administratively up or down. */
  ifnet_event: [ifp: Ifnet, state: 'up' | 'down'];
  iflladdr_event: [ifp: Ifnet];
  /** An address was added to or taken from an interface by an ioctl; one that was asked for before (RFC 5227) is in use now. */
  ifaddr_event: [ifp: Ifnet];
  /** A route was added or deleted by an ioctl. */
  rtentry_event: [action: 'add' | 'delete', route: RtReq];
  kld_load: [mod: ModuleStat];
  kld_unload: [mod: ModuleStat];
  /** Before a module is asked to go. */
  kld_unload_try: [mod: ModuleStat, veto: Veto];
  /** Shutdown: before the modules hear of it, after, and as the last thing. */
  shutdown_pre_sync: [];
  shutdown_post_sync: [];
  shutdown_final: [];
}

/** What a handler of `K` takes: events outside `KernEvents` belong to modules, which know their arguments themselves. */
type HandlerArgs<K extends string> = K extends keyof KernEvents ? KernEvents[K] : never[];
type InvokeArgs<K extends string> = K extends keyof KernEvents ? KernEvents[K] : unknown[];

interface Entry {
  readonly fn: (...args: unknown[]) => unknown;
  readonly priority: number;
  dead: boolean;
}

export class EventHandlers {
  /** The lists are never changed, only replaced, so a delivery in progress walks the list it began with. */
  readonly #lists = new Map<string, readonly Entry[]>();

  /** Calls `fn` at each `name`; lower priorities first, equal ones in the order of registration. */
  on<K extends string>(name: K, fn: (...args: HandlerArgs<K>) => unknown, priority = EVENTHANDLER_PRI_ANY): Undo {
    const entry: Entry = { fn: fn as Entry['fn'], priority, dead: false };
    const list = this.#lists.get(name) ?? [];
    const at = list.findIndex((other) => other.priority > priority);
    this.#lists.set(name, at < 0 ? [...list, entry] : [...list.slice(0, at), entry, ...list.slice(at)]);
    return () => {
      if (entry.dead) return;
      entry.dead = true;
      const rest = (this.#lists.get(name) ?? []).filter((other) => other !== entry);
      if (rest.length === 0) this.#lists.delete(name);
      else this.#lists.set(name, rest);
    };
  }

  invoke<K extends string>(name: K, ...args: InvokeArgs<K>): void {
    for (const entry of this.#lists.get(name) ?? []) {
      if (!entry.dead) entry.fn(...args);
    }
  }

  /** Handlers of an event. */
  count(name: string): number {
    return this.#lists.get(name)?.length ?? 0;
  }
}
