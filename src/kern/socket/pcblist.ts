/**
 * Sockets as rows for netstat(1), ss(8) and sockstat(1): `net.inet.tcp.pcblist`, `net.inet.udp.pcblist`, `net.inet.raw.pcblist`,
 * `net.local.pcblist`, `kern.file`. What a row says is asked of the protocol by the calls that every protocol has, so they are right
 * on any stack; a stack adds the control blocks that no socket stands for (`NetstackMethods.orphans`).
 */
import { type IpAddr, isAny, isV4 } from '../../wire/addr.ts';
import { addrToString } from '../../wire/addrtext.ts';
import { isErrno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { OrphanPcb } from '../netstack.ts';
import { AF_INET6, AF_LOCAL, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM, type SockAddr } from './protosw.ts';
import { SS_ISCONNECTED, SS_ISCONNECTING, SS_ISDISCONNECTING, SS_NBIO, type Socket } from './socket.ts';

/** What all stream protocols of IP share with TCP: its number, and the options that tell of a connection. */
const IPPROTO_TCP = 6;
const TCP_INFO = 32;
const TCP_CONGESTION = 64;

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [SOCK_STREAM, 'stream'],
  [SOCK_DGRAM, 'dgram'],
  [SOCK_RAW, 'raw'],
  [SOCK_SEQPACKET, 'seqpacket'],
]);
/** Bits of TCP_INFO's options where a stack tells them as bits. */
const OPTION_BITS: readonly (readonly [number, string])[] = [
  [1, 'ts'],
  [2, 'sack'],
  [4, 'wscale'],
  [8, 'ecn'],
];

/** TCP_INFO with its options by name and netstat's name of the state, whatever the stack has. */
export function tcpInfoRow(value: unknown): Record<string, unknown> | null {
  if (typeof value !== 'object' || value === null) return null;
  const info: Record<string, unknown> = { ...value };
  const { options } = info;
  if (typeof options === 'number') {
    info.options = OPTION_BITS.filter(([bit]) => (options & bit) !== 0).map(([, name]) => name);
  }
  info.state = stateName(info.state);
  return info;
}

function stateName(state: unknown): string {
  if (typeof state !== 'string' || state === 'FREE') return 'CLOSED';
  return state === 'SYN_RECEIVED' ? 'SYN_RCVD' : state;
}

/** Who has which socket, by descriptor. */
function holders(kernel: Kernel): Map<Socket, { owner: string; fd: number }> {
  const all = new Map<Socket, { owner: string; fd: number }>();
  for (const proc of kernel.procs) {
    for (const [fd, file] of proc.files.entries()) all.set(file.so, { owner: proc.name, fd });
  }
  return all;
}

interface Ends {
  readonly local: SockAddr | null;
  readonly peer: SockAddr | null;
}

function endsOf(so: Socket): Ends {
  if (so.pcb === null) return { local: null, peer: null };
  const local = so.methods.sockaddr(so);
  const peer = so.methods.peeraddr(so);
  return { local: isErrno(local) ? null : local, peer: isErrno(peer) ? null : peer };
}

const typeName = (so: Socket): string => TYPE_NAMES.get(so.proto.type) ?? '';

function familyName(so: Socket, addr: IpAddr | null): string {
  if (so.domain.family === AF_LOCAL) return 'local';
  return (addr === null ? so.domain.family === AF_INET6 : !isV4(addr)) ? 'inet6' : 'inet';
}

type Holders = ReturnType<typeof holders>;

function baseRow(so: Socket, held: Holders, addr: IpAddr | null): Record<string, unknown> {
  const at = held.get(so);
  return {
    proto: so.proto.name,
    family: familyName(so, addr),
    type: typeName(so),
    // A listener's queue is of connections, which its row has by name.
    recvq: so.rcv.cc,
    sendq: so.snd.cc,
    rcvhiwat: so.rcv.hiwat,
    sndhiwat: so.snd.hiwat,
    owner: at?.owner ?? so.owner,
    fd: at?.fd ?? null,
  };
}

function inetRow(so: Socket, held: Holders): Record<string, unknown> {
  const { local, peer } = endsOf(so);
  const laddr = local?.kind === 'inet' ? local : null;
  const faddr = peer?.kind === 'inet' && !(isAny(peer.addr) && peer.port === 0) ? peer : null;
  const unbound = so.domain.family === AF_INET6 ? '::' : '0.0.0.0';
  return {
    ...baseRow(so, held, laddr?.addr ?? null),
    laddr: laddr === null ? unbound : addrToString(laddr.addr),
    lport: laddr?.port ?? 0,
    faddr: faddr === null ? null : addrToString(faddr.addr),
    fport: faddr?.port ?? 0,
    fib: so.fib,
    protocol: so.proto.protocol,
  };
}

function option(so: Socket, name: number): unknown {
  if (so.pcb === null) return null;
  const sopt = { dir: 'get' as const, level: IPPROTO_TCP, name, value: undefined as unknown };
  return so.methods.ctloutput(so, sopt) === null ? sopt.value : null;
}

/** Where the stack has no TCP_INFO, the socket's own state says it roughly. */
function stateOf(so: Socket, info: Record<string, unknown> | null): string {
  if (so.listen !== null) return 'LISTEN';
  if (info !== null) return info.state as string;
  if ((so.state & SS_ISCONNECTING) !== 0) return 'SYN_SENT';
  if ((so.state & SS_ISDISCONNECTING) !== 0) return 'FIN_WAIT_1';
  return (so.state & SS_ISCONNECTED) !== 0 ? 'ESTABLISHED' : 'CLOSED';
}

function tcpRow(so: Socket, held: Holders): object {
  const { listen } = so;
  const info = listen === null ? tcpInfoRow(option(so, TCP_INFO)) : null;
  const cc = listen === null ? option(so, TCP_CONGESTION) : null;
  return {
    ...inetRow(so, held),
    state: stateOf(so, info),
    qlen: listen?.qlen() ?? 0,
    incqlen: listen?.incqlen() ?? 0,
    qlimit: listen?.qlimit ?? 0,
    cc: typeof cc === 'string' ? cc : null,
    info,
  };
}

function orphanRow({ laddr, lport, faddr, fport, state, fib, sendq, info, cc }: OrphanPcb): object {
  return {
    proto: 'tcp',
    family: isV4(faddr) ? 'inet' : 'inet6',
    type: 'stream',
    recvq: 0,
    sendq,
    rcvhiwat: 0,
    sndhiwat: 0,
    owner: '',
    fd: null,
    laddr: addrToString(laddr),
    lport,
    faddr: addrToString(faddr),
    fport,
    fib,
    protocol: IPPROTO_TCP,
    state: stateName(state),
    qlen: 0,
    incqlen: 0,
    qlimit: 0,
    cc,
    info: tcpInfoRow(info),
  };
}

function sockets(kernel: Kernel, want: (so: Socket) => boolean): Socket[] {
  return kernel.domains.sockets.all().filter(want);
}

const isLocal = (so: Socket): boolean => so.domain.family === AF_LOCAL;

export function tcpPcbs(kernel: Kernel): object[] {
  const held = holders(kernel);
  const own = sockets(kernel, (so) => !isLocal(so) && so.proto.type === SOCK_STREAM);
  return [...own.map((so) => tcpRow(so, held)), ...kernel.netstack.current.orphans(IPPROTO_TCP).map(orphanRow)];
}

export function inetPcbs(kernel: Kernel, type: number): object[] {
  const held = holders(kernel);
  return sockets(kernel, (so) => !isLocal(so) && so.proto.type === type).map((so) => inetRow(so, held));
}

function pathOf(addr: SockAddr | null): string | null {
  return addr?.kind === 'local' ? addr.path : null;
}

export function localPcbs(kernel: Kernel): object[] {
  const held = holders(kernel);
  return sockets(kernel, isLocal).map((so) => {
    const { local, peer } = endsOf(so);
    const connected = (so.state & SS_ISCONNECTED) !== 0;
    return {
      ...baseRow(so, held, null),
      path: pathOf(local) ?? '',
      peer: pathOf(peer),
      state: so.listen !== null ? 'LISTEN' : connected ? 'CONNECTED' : '',
      qlen: so.listen?.qlen() ?? 0,
      qlimit: so.listen?.qlimit ?? 0,
    };
  });
}

function addrText(addr: SockAddr | null): string | null {
  if (addr === null) return null;
  if (addr.kind === 'local') return addr.path;
  const text = addrToString(addr.addr);
  return isV4(addr.addr) ? `${text}:${addr.port}` : `[${text}]:${addr.port}`;
}

/** Descriptors of all processes. */
export function fileRows(kernel: Kernel): object[] {
  const rows: object[] = [];
  for (const proc of kernel.procs) {
    for (const [fd, { so }] of proc.files.entries()) {
      const { local, peer } = endsOf(so);
      rows.push({
        owner: proc.name,
        fd,
        family: familyName(so, local?.kind === 'inet' ? local.addr : null),
        proto: so.proto.name,
        type: typeName(so),
        nonblock: (so.state & SS_NBIO) !== 0,
        local: addrText(local) ?? '',
        peer: addrText(peer),
      });
    }
  }
  return rows;
}
