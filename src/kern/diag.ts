/**
 * Probes: what a kernel tells those who watch it (the boot passes them on to Node's diagnostics_channel). Who reports asks first whether
 * somebody listens, so that a probe without a listener is one test of a boolean:
 *
 *     const { state } = kernel.diag;
 *     if (state.hasSubscribers) state.publish({ ... });
 */
import type { InetSockAddr } from '../wire/addr.ts';
import type { Errno } from './errno.ts';
import type { SockAddr } from './socket/protosw.ts';
import type { Undo } from './undo.ts';

/** A channel of somebody else's, as diagnostics_channel has them. */
export interface DiagChannel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

/** A connection that was opened from here stands, or could not be opened. */
export interface ConnectReport {
  readonly proto: string;
  readonly owner: string;
  readonly local: SockAddr | null;
  readonly remote: SockAddr | null;
  readonly error: Errno | null;
}
/** A connection of a listener is complete. */
export interface AcceptReport {
  readonly proto: string;
  readonly owner: string;
  readonly local: SockAddr | null;
  readonly remote: SockAddr | null;
}
/** A transition of a connection. */
export interface StateReport {
  readonly proto: string;
  readonly local: InetSockAddr;
  readonly remote: InetSockAddr;
  readonly from: string;
  readonly to: string;
}
/** A frame that was dropped: `reason` names the counters that moved, or the error of the link. */
export interface DropReport {
  readonly if: string;
  readonly dir: 'in' | 'out';
  readonly len: number;
  readonly reason: string;
}
/** A module came or went. */
export interface LoadReport {
  readonly action: 'load' | 'unload';
  readonly id: number;
  readonly name: string;
  readonly version: number;
}

export class Probe<T extends object> {
  /** Listeners inside this program; `#outer` is for those outside of the kernel. */
  #listeners: readonly ((report: T) => void)[] = [];
  #outer: DiagChannel | null = null;
  #changed: () => void;

  constructor(changed: () => void = () => undefined) {
    this.#changed = changed;
  }

  get hasSubscribers(): boolean {
    return this.#listeners.length > 0 || (this.#outer !== null && this.#outer.hasSubscribers);
  }

  publish(report: T): void {
    for (const listener of this.#listeners) listener(report);
    if (this.#outer !== null && this.#outer.hasSubscribers) this.#outer.publish(report);
  }

  subscribe(listener: (report: T) => void): Undo {
    // A function of its own, so that each subscription can be taken back alone.
    const own = (report: T): void => listener(report);
    this.#listeners = [...this.#listeners, own];
    this.#changed();
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== own);
      this.#changed();
    };
  }

  /** Joins a channel outside; null leaves it. */
  join(outer: DiagChannel | null): void {
    this.#outer = outer;
    this.#changed();
  }
}

export class Diag {
  readonly connect = new Probe<ConnectReport>();
  readonly accept = new Probe<AcceptReport>();
  readonly state = new Probe<StateReport>();
  /** Told by the taps of interfaces, which are there while this has a listener. */
  readonly drop: Probe<DropReport>;
  readonly load = new Probe<LoadReport>();

  constructor(dropChanged: () => void) {
    this.drop = new Probe<DropReport>(dropChanged);
  }
}
