/**
 * System calls by name. Modules register theirs during start-up, all of a set or none; a name that nobody fills answers ENOSYS.
 * A call that is taken away first drains: it answers ENOSYS to new callers and is free when the last one inside has left.
 */
import type { Log } from './effects.ts';
import type { Errno } from './errno.ts';
import type { Proc } from './proc/proc.ts';
import type { Undo } from './undo.ts';

/** A call: its result at once, or a promise for one that blocks. Arguments are the callee's to check. */
export type Syscall = (proc: Proc, ...args: never[]) => unknown;

/** Names that come with a stack that has them; ENOSYS until then (setfib(2), sctp_generic_recvmsg(2)). */
const RESERVED: readonly string[] = [
  'setfib',
  'sctp_peeloff',
  'sctp_generic_sendmsg',
  'sctp_generic_sendmsg_iov',
  'sctp_generic_recvmsg',
];

/** Slots of the table. */
const MAX_SYSCALLS = 512;

interface Slot {
  readonly module: string;
  readonly fn: Syscall;
  draining: boolean;
  /** Callers inside, and who waits for them to leave. */
  inside: number;
  drained: (() => void) | null;
}

/** What the operator sees of a call. */
export interface SyscallStat {
  readonly name: string;
  /** Null for a reserved name. */
  readonly module: string | null;
  readonly state: 'reserved' | 'present' | 'draining';
  readonly inside: number;
}

export class SyscallTable {
  readonly counters = { calls: 0, nosys: 0 };
  readonly #slots = new Map<string, Slot>();
  readonly #reserved = new Set(RESERVED);
  readonly #log: Log;
  #frozen = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Keeps a name for a stack. EEXIST if it is known already. */
  reserve(name: string): Errno | null {
    if (this.#frozen) return 'EPERM';
    if (this.#slots.has(name) || this.#reserved.has(name)) return 'EEXIST';
    this.#reserved.add(name);
    return null;
  }

  /**
   * Registers all of `calls` or none: EEXIST for a name that is filled (or still draining), ENFILE when the table is full, EPERM
   * once start-up is over. The undo begins to drain them; `drainModule` says when that is over.
   */
  register(module: string, calls: Readonly<Record<string, Syscall>>): Undo | Errno {
    const names = Object.keys(calls);
    if (this.#frozen) {
      this.#log.error({ module, calls: names }, 'cannot register system calls after start-up');
      return 'EPERM';
    }
    const taken = names.find((name) => this.#slots.has(name));
    if (taken !== undefined) {
      this.#log.error({ module, call: taken, owner: this.#slots.get(taken)?.module }, 'system call is registered already');
      return 'EEXIST';
    }
    if (this.#slots.size + names.length > MAX_SYSCALLS) return 'ENFILE';
    for (const [name, fn] of Object.entries(calls)) {
      this.#slots.set(name, { module, fn, draining: false, inside: 0, drained: null });
    }
    const own = names.map((name) => [name, this.#slots.get(name)] as const);
    // A later owner of the same name is not this one's to take away.
    return () => void this.#drain(own.filter(([name, slot]) => this.#slots.get(name) === slot).map(([name]) => name));
  }

  /** Takes all calls of a module back; resolves when nobody is inside any of them. */
  drainModule(module: string): Promise<void> {
    return this.#drain([...this.#slots.keys()].filter((name) => this.#slots.get(name)?.module === module));
  }

  async #drain(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#drainOne(name)));
  }

  /** The name is free for others only when the last caller has left. */
  #drainOne(name: string): Promise<void> | null {
    const slot = this.#slots.get(name);
    if (slot === undefined) return null;
    slot.draining = true;
    if (slot.inside === 0) {
      this.#slots.delete(name);
      return null;
    }
    return new Promise((resolve) => {
      const others = slot.drained;
      slot.drained = () => {
        this.#slots.delete(name);
        others?.();
        resolve();
      };
    });
  }

  /** Ends the season of registration. Removal stays possible. */
  freeze(): void {
    this.#frozen = true;
  }

  /** Calls by name; ENOSYS where the name is unknown, reserved or draining. */
  call(proc: Proc, name: string, ...args: unknown[]): unknown {
    const slot = this.#slots.get(name);
    this.counters.calls++;
    if (slot === undefined || slot.draining) {
      this.counters.nosys++;
      return 'ENOSYS' satisfies Errno;
    }
    slot.inside++;
    let result: unknown;
    try {
      result = (slot.fn as (proc: Proc, ...args: unknown[]) => unknown)(proc, ...args);
    } catch (error) {
      leave(slot);
      throw error;
    }
    if (!(result instanceof Promise)) {
      leave(slot);
      return result;
    }
    return result.finally(() => leave(slot));
  }

  /** Is there a call of this name that can be made now? */
  has(name: string): boolean {
    return this.#slots.get(name)?.draining === false;
  }

  /** Callers inside the calls of a module. */
  inside(module: string): number {
    let n = 0;
    for (const slot of this.#slots.values()) if (slot.module === module) n += slot.inside;
    return n;
  }

  /** All names, by name. */
  list(): SyscallStat[] {
    const stats: SyscallStat[] = [];
    for (const name of this.#reserved) {
      if (!this.#slots.has(name)) stats.push({ name, module: null, state: 'reserved', inside: 0 });
    }
    for (const [name, { module, draining, inside }] of this.#slots) {
      stats.push({ name, module, state: draining ? 'draining' : 'present', inside });
    }
    return stats.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

function leave(slot: Slot): void {
  slot.inside--;
  if (slot.inside === 0) slot.drained?.();
}
