/**
 * Accept filters (accept_filter(9)): a filter holds a new connection back until what it waits for has come, over any stack and the
 * local domain. A held connection stays in the listener's queue of incomplete ones, which is bounded; its bytes stay in `so.rcv`, where the
 * filter reads them in place. A filter also passes a connection that has ended, failed, or filled its buffer.
 */
import { type Errno, type Result, isErrno } from '../errno.ts';
import type { Undo } from '../undo.ts';
import type { ListenFilter, ListenQueue } from './listen.ts';
import { SS_CANTRCVMORE, SS_ISCONNECTED, type Socket } from './socket.ts';

/** Longest name and argument, in characters (struct accept_filter_arg, with its terminators). */
const NAME_MAX = 15;
const ARG_MAX = 239;

/** What a filter knows of one held connection, so that it never reads a byte twice. */
export class AcceptFilterState {
  readonly filter: AcceptFilter;
  /** What `create` made. */
  readonly param: unknown;
  /** Bytes of `so.rcv` read so far, and the filter's own state. */
  pos = 0;
  stage = 0;
  constructor(filter: AcceptFilter, param: unknown) {
    this.filter = filter;
    this.param = param;
  }
}

export interface AcceptFilter {
  readonly name: string;
  /** Takes the argument of setsockopt; an error's name refuses it (FreeBSD: EINVAL). */
  create?(arg: string): Result<object | null>;
  /** True when the connection may be accepted. Called as it is connected and as bytes come. */
  ready(so: Socket, state: AcceptFilterState): boolean;
}

/** Value of SO_ACCEPTFILTER. */
export interface AcceptFilterArg {
  readonly name: string;
  readonly arg?: string;
}

export class AcceptFilters {
  readonly #filters = new Map<string, AcceptFilter>();

  /** EEXIST for a name in use; EINVAL for one that is empty or too long. Listeners that use a filter keep it when it is taken back. */
  add(filter: AcceptFilter): Undo | Errno {
    if (filter.name.length === 0 || filter.name.length > NAME_MAX) return 'EINVAL';
    if (this.#filters.has(filter.name)) return 'EEXIST';
    this.#filters.set(filter.name, filter);
    return () => {
      if (this.#filters.get(filter.name) === filter) this.#filters.delete(filter.name);
    };
  }

  find(name: string): AcceptFilter | null {
    return this.#filters.get(name) ?? null;
  }

  names(): string[] {
    return [...this.#filters.keys()].sort();
  }
}

/** A filter for a listening socket. EINVAL: not listening, one is set already, or the argument is wrong; ENOENT: unknown. */
export function accfSet(registry: AcceptFilters, queue: ListenQueue | null, value: AcceptFilterArg): Errno | null {
  const { name, arg = '' } = value;
  if (typeof name !== 'string' || typeof arg !== 'string' || name.length > NAME_MAX || arg.length > ARG_MAX) return 'EINVAL';
  if (queue === null) return 'EINVAL';
  const filter = registry.find(name);
  if (filter === null) return 'ENOENT';
  if (queue.filter !== null) return 'EINVAL';
  const param = filter.create === undefined ? null : filter.create(arg);
  if (isErrno(param)) return 'EINVAL';
  queue.filter = { filter, arg, param };
  return null;
}

/** Puts a new connection under its listener's filter. */
export function accfHold(so: Socket, set: ListenFilter): void {
  so.filter = new AcceptFilterState(set.filter, set.param);
}

/** Asks the filter once. */
export function accfReady(so: Socket, state: AcceptFilterState): boolean {
  const counters = so.kernel.domains.counters;
  const ended = (so.state & SS_CANTRCVMORE) !== 0 || (so.state & SS_ISCONNECTED) === 0 || so.error !== null;
  if (ended || so.rcv.space() === 0) {
    counters.accfforced++;
    return true;
  }
  if (!state.filter.ready(so, state)) return false;
  counters.accfready++;
  return true;
}
