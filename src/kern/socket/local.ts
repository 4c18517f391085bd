/**
 * The local domain (unix(4)): streams, datagrams and sequenced packets between sockets of one kernel, with no stack. Names are the kernel's
 * own, not files. The bytes of a connection wait in the sender's buffer and move at the end of the batch as the receiver has room, so a
 * reader that does not read holds its writer.
 *
 * Deviation: a name goes with the socket that is bound to it, so nobody has to unlink it.
 */
import { type Errno, type Result, isErrno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { bindObject, defineClass } from '../kobj.ts';
import { LocalPcb, LocalPump } from './localpump.ts';
import {
  AF_LOCAL,
  type Domain,
  PR_ADDR,
  PR_ATOMIC,
  PR_CONNREQUIRED,
  PR_WANTRCVD,
  type ProtoMethods,
  type Protosw,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  type SockAddr,
  protoInterface,
} from './protosw.ts';
import { sosndbuf, sosndrest } from './sobuf.ts';
import { RECORD_OVERHEAD } from './sockbuf.ts';
import { SO_LINGER } from './soconst.ts';
import { SS_CANTRCVMORE, SS_ISCONNECTED, SS_SNDWAIT, type Socket } from './socket.ts';
import { soisclosed } from './sofree.ts';
import {
  soappenddgram,
  soisconnected,
  soisdisconnected,
  soisdisconnecting,
  sonewconn,
  soreserve,
  soseterror,
} from './upcalls.ts';

/** Longest name in characters (sun_path without its terminator). */
const PATH_MAX = 103;
/** Buffers in bytes (net.local.*.sendspace, recvspace). */
const SENDSPACE = 65536;
const RECVSPACE = 65536;

/** What a kernel's local domain holds. */
class LocalState {
  readonly names = new Map<string, LocalPcb>();
  readonly pump: LocalPump;
  constructor(kernel: Kernel) {
    this.pump = new LocalPump(kernel);
  }
}

function pcbOf(so: Socket): LocalPcb {
  return so.pcb as LocalPcb;
}

/** EAFNOSUPPORT for another family's address, EINVAL for an empty name. */
function pathOf(addr: SockAddr): Result<{ path: string }> {
  if (addr.kind !== 'local') return 'EAFNOSUPPORT';
  return addr.path.length === 0 ? 'EINVAL' : addr;
}

function bind(self: LocalState, so: Socket, addr: SockAddr): Errno | null {
  const name = pathOf(addr);
  if (isErrno(name)) return name;
  const { path } = name;
  const pcb = pcbOf(so);
  if (pcb.path !== '') return 'EINVAL';
  if (path.length > PATH_MAX) return 'ENAMETOOLONG';
  if (self.names.has(path)) return 'EADDRINUSE';
  self.names.set(path, pcb);
  pcb.path = path;
  return null;
}

/** ENOENT: no such name; EPROTOTYPE: another type of socket has it. */
function lookup(self: LocalState, so: Socket, addr: SockAddr): Result<LocalPcb> {
  const name = pathOf(addr);
  if (isErrno(name)) return name;
  const target = self.names.get(name.path);
  if (target === undefined) return 'ENOENT';
  return target.so.proto.type === so.proto.type ? target : 'EPROTOTYPE';
}

function connect(self: LocalState, so: Socket, addr: SockAddr): Errno | null {
  const target = lookup(self, so, addr);
  if (isErrno(target)) return target;
  const pcb = pcbOf(so);
  if (so.proto.type === SOCK_DGRAM) {
    pcb.peer = target;
    soisconnected(so);
    return null;
  }
  if (target.so.listen === null) return 'ECONNREFUSED';
  const child = sonewconn(target.so);
  if (child === null) return 'ECONNREFUSED';
  const end = pcbOf(child);
  end.path = target.path;
  end.peer = pcb;
  pcb.peer = end;
  // The caller's end first: what it sends from `connected` then waits for whoever accepts the other.
  soisconnected(so);
  if (end.peer === pcb && !soisclosed(child)) soisconnected(child);
  return null;
}

function connect2(_self: LocalState, so: Socket, other: Socket): Errno | null {
  if (so.proto !== other.proto) return 'EPROTOTYPE';
  pcbOf(so).peer = pcbOf(other);
  pcbOf(other).peer = pcbOf(so);
  soisconnected(so);
  soisconnected(other);
  return null;
}

function disconnect(self: LocalState, so: Socket): Errno | null {
  const pcb = pcbOf(so);
  if (so.proto.type === SOCK_DGRAM) {
    pcb.peer = null;
    so.state &= ~SS_ISCONNECTED;
    return null;
  }
  if ((so.options & SO_LINGER) !== 0 && so.linger === 0) {
    abort(self, so);
    return null;
  }
  soisdisconnecting(so);
  self.pump.close(pcb);
  return null;
}

/** The other end learns it as a reset. */
function abort(_self: LocalState, so: Socket): void {
  const pcb = pcbOf(so);
  const { peer } = pcb;
  pcb.peer = null;
  if (peer !== null && peer.peer === pcb) {
    peer.peer = null;
    if (so.proto.type !== SOCK_DGRAM) {
      soseterror(peer.so, 'ECONNRESET');
      soisdisconnected(peer.so);
    }
  }
  soisdisconnected(so);
}

function detach(self: LocalState, so: Socket): void {
  const pcb = pcbOf(so);
  if (self.names.get(pcb.path) === pcb) self.names.delete(pcb.path);
  if (so.proto.type === SOCK_DGRAM) pcb.peer = null;
}

function sendto(self: LocalState, so: Socket, bytes: Uint8Array, off: number, len: number, to: SockAddr | null): Errno | null {
  const pcb = pcbOf(so);
  if (so.proto.type !== SOCK_DGRAM) {
    if (!sosndbuf(so).appendRecord(null, bytes, off, len, false)) {
      sosndrest(so);
      if (so.snd.record() === null) return len + RECORD_OVERHEAD > so.snd.hiwat ? 'EMSGSIZE' : 'ENOBUFS';
      so.state |= SS_SNDWAIT;
      return 'EAGAIN';
    }
    self.pump.schedule(pcb);
    return null;
  }
  let target = pcb.peer;
  if (to !== null) {
    if (target !== null) return 'EISCONN';
    const found = lookup(self, so, to);
    if (isErrno(found)) return found;
    target = found;
  } else if (target === null) {
    return 'ENOTCONN';
  }
  if (soisclosed(target.so)) {
    // It was there when we connected.
    disconnect(self, so);
    return 'ECONNRESET';
  }
  if ((target.so.state & SS_CANTRCVMORE) !== 0) return 'EPIPE';
  if (!soappenddgram(target.so, { kind: 'local', path: pcb.path }, bytes, off, len)) return 'ENOBUFS';
  self.pump.schedule(target);
  return null;
}

const localClass = defineClass<LocalState, ProtoMethods>({
  name: 'local',
  implements: protoInterface,
  methods: {
    attach: (_self, so) => {
      so.pcb = new LocalPcb(so);
      return soreserve(so, SENDSPACE, RECVSPACE);
    },
    detach,
    bind,
    listen: (_self, so) => (so.proto.type === SOCK_DGRAM ? 'EOPNOTSUPP' : pcbOf(so).path === '' ? 'EDESTADDRREQ' : null),
    connect,
    connect2,
    disconnect,
    shutdown: (self, so) => {
      if (so.proto.type !== SOCK_DGRAM) self.pump.schedule(pcbOf(so));
      return null;
    },
    send: (self, so) => self.pump.schedule(pcbOf(so)),
    sendto,
    rcvd: (self, so) => {
      const { peer } = pcbOf(so);
      if (peer !== null) self.pump.schedule(peer);
    },
    abort,
    sockaddr: (_self, so) => ({ kind: 'local', path: pcbOf(so).path }),
    peeraddr: (_self, so) => {
      const { peer } = pcbOf(so);
      return peer === null ? 'ENOTCONN' : { kind: 'local', path: peer.path };
    },
  },
});

/** The domain of one kernel, for `kernel.domains.add`. */
export function localDomain(kernel: Kernel): Domain {
  const methods = bindObject(localClass, new LocalState(kernel));
  const proto = (name: string, type: number, flags: number): Protosw => ({ name, type, protocol: 0, flags, methods });
  return {
    family: AF_LOCAL,
    name: 'local',
    protosw: [
      proto('local stream', SOCK_STREAM, PR_CONNREQUIRED | PR_WANTRCVD),
      proto('local dgram', SOCK_DGRAM, PR_ATOMIC | PR_ADDR),
      proto('local seqpacket', SOCK_SEQPACKET, PR_ATOMIC | PR_CONNREQUIRED | PR_WANTRCVD),
    ],
  };
}
