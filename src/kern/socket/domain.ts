/**
 * Registry of address families (uipc_domain.c): filled at start-up, then frozen. With it go the socket layer's counters and
 * limits, which are per kernel.
 */
import type { Errno, Result } from '../errno.ts';
import type { Log } from '../effects.ts';
import type { Undo } from '../undo.ts';
import { type Domain, type Protosw, SOCK_RAW } from './protosw.ts';
import { SocketList } from './solist.ts';

/** Counters of the socket layer, group `socket`. Events, or bytes where it says so. */
export class SocketCounters {
  created = 0;
  closed = 0;
  /** Connections refused because a queue of complete ones was full; its listener's queue of incomplete ones made room. */
  listenoverflow = 0;
  incompdropped = 0;
  /** Connections that had died before they were accepted. */
  acceptaborted = 0;
  /** Datagrams that did not fit into a receive buffer. */
  dgramdropped = 0;
  /** Bytes that came after the user had shut down reading. */
  rcvshutbytes = 0;
  /** Requests that the buffer pool refused; connections that ended because of it. */
  nobufs = 0;
  nobufsaborted = 0;
  /** Accept filters: connections passed on complete, and passed on because they ended or filled the buffer. */
  accfready = 0;
  accfforced = 0;
}

/** Limits that sysctl can change. */
export class SocketLimits {
  /** Longest listen queue (kern.ipc.soacceptqueue). */
  soacceptqueue = 1024;
  /** Largest socket buffer in bytes (kern.ipc.maxsockbuf). */
  maxsockbuf = 8 * 1024 * 1024;
  /** Descriptors of one process (kern.maxfilesperproc). */
  maxfilesperproc = 65536;
  /** httpready waits for a request line with HTTP/1.0 or 1.1 (net.inet.accf.http.parsehttpversion). */
  parsehttpversion = true;
}

export interface FoundProtocol {
  readonly domain: Domain;
  readonly proto: Protosw;
}

export class Domains {
  readonly counters = new SocketCounters();
  readonly limits = new SocketLimits();
  readonly sockets = new SocketList();
  readonly #domains = new Map<number, Domain>();
  readonly #log: Pick<Log, 'error'>;
  #frozen = false;

  constructor(log: Pick<Log, 'error'>) {
    this.#log = log;
  }

  /** EEXIST for a family that is there already (Deviation: FreeBSD shadows it); EPERM once frozen. */
  add(domain: Domain): Undo | Errno {
    if (this.#frozen) {
      this.#log.error(
        { domain: domain.name, family: domain.family },
        'address families are frozen after start-up; registration refused',
      );
      return 'EPERM';
    }
    if (this.#domains.has(domain.family)) return 'EEXIST';
    this.#domains.set(domain.family, domain);
    return () => {
      if (this.#domains.get(domain.family) === domain) this.#domains.delete(domain.family);
    };
  }

  freeze(): void {
    this.#frozen = true;
  }

  all(): readonly Domain[] {
    return [...this.#domains.values()];
  }

  /**
   * The protocol of a `socket` call: by type alone where `protocol` is 0, else both must fit; a raw socket falls back to the
   * family's wildcard. EAFNOSUPPORT, EPROTOTYPE (no such type, or the protocol has another), EPROTONOSUPPORT.
   */
  find(family: number, type: number, protocol: number): Result<FoundProtocol> {
    const domain = this.#domains.get(family);
    if (domain === undefined) return 'EAFNOSUPPORT';
    let otherType = false;
    let wildcard: Protosw | null = null;
    for (const proto of domain.protosw) {
      if (proto.type === type) {
        if (protocol === 0 || proto.protocol === protocol) return { domain, proto };
        if (type === SOCK_RAW && proto.protocol === 0) wildcard = proto;
      } else if (protocol !== 0 && proto.protocol === protocol) {
        otherType = true;
      }
    }
    if (wildcard !== null) return { domain, proto: wildcard };
    return otherType || (protocol === 0 && type !== 0) ? 'EPROTOTYPE' : 'EPROTONOSUPPORT';
  }
}
