/**
 * What the control socket answers, as types: rows of the kernel's tables, counters, captured frames, events. Addresses are text. Nothing
 * here exists at run time, and nothing here is the kernel's: a program that talks to a boot needs no kernel of its own.
 */

export interface Greeting {
  /** Version of the protocol. */
  readonly netmod: number;
  /** The stack in use; `none` without one. */
  readonly stack: string;
  readonly calls: readonly string[];
  /** Bytes of a line, bytes of data in one call (before base64), descriptors of one `poll`, calls under way. */
  readonly limits: { readonly line: number; readonly data: number; readonly poll: number; readonly calls: number };
}

export interface InetAddress {
  readonly addr: string;
  readonly port: number;
}
export interface LocalAddress {
  readonly path: string;
}
export type Address = InetAddress | LocalAddress;

export type DomainName = 'inet' | 'inet6' | 'local';
export type TypeName = 'stream' | 'dgram' | 'raw' | 'seqpacket';
export type PollEvent = 'in' | 'pri' | 'out' | 'err' | 'hup' | 'nval' | 'rdhup';
export interface PollRequest {
  readonly fd: number;
  readonly events: readonly PollEvent[];
}
export interface PollAnswer {
  readonly fd: number;
  readonly revents: readonly PollEvent[];
}

/** TCP_INFO (tcp(4)). Times in microseconds, windows in bytes, sequence numbers unsigned. A stack may tell more. */
export interface TcpInfo {
  readonly state: string;
  /** Names of the options agreed: `ts`, `sack`, `wscale`. */
  readonly options: readonly string[];
  readonly ca_state: string;
  readonly snd_cwnd: number;
  readonly snd_ssthresh: number;
  readonly rtt: number;
  readonly rttvar: number;
  readonly rto: number;
  readonly snd_mss: number;
  readonly rcv_mss: number;
  readonly snd_wnd: number;
  readonly rcv_wnd: number;
  readonly snd_una: number;
  readonly snd_nxt: number;
  readonly rcv_nxt: number;
  /** Backoffs of the segment that waits now; segments sent again in all. */
  readonly retransmits: number;
  readonly total_retrans: number;
  /** Segments in flight, and of them those reported by SACK, and taken for lost. */
  readonly unacked: number;
  readonly sacked: number;
  readonly lost: number;
  readonly bytes_acked: number;
  readonly bytes_received: number;
  readonly [more: string]: unknown;
}

/** What the rows of all sockets have. */
export interface PcbBase {
  readonly proto: string;
  readonly family: 'inet' | 'inet6' | 'local';
  readonly type: TypeName;
  /** Bytes received and not yet read; sent and not yet acknowledged. */
  readonly recvq: number;
  readonly sendq: number;
  /** Limits of the two, bytes. */
  readonly rcvhiwat: number;
  readonly sndhiwat: number;
  /** Who has the socket: a client (`ctl3`), a service (`http`), `kernel`; '' for what the stack keeps alone. */
  readonly owner: string;
  /** Its descriptor there, where it has one. */
  readonly fd: number | null;
}

/** A row of `net.inet.udp.pcblist` and `net.inet.raw.pcblist`. No port is 0, no peer is null, any address is 0.0.0.0 or ::. */
export interface InetPcb extends PcbBase {
  readonly laddr: string;
  readonly lport: number;
  readonly faddr: string | null;
  readonly fport: number;
  readonly fib: number;
  /** Number of the protocol in IP. */
  readonly protocol: number;
}

/** States as netstat(1) has them. */
export type TcpState =
  | 'CLOSED'
  | 'LISTEN'
  | 'SYN_SENT'
  | 'SYN_RCVD'
  | 'ESTABLISHED'
  | 'CLOSE_WAIT'
  | 'FIN_WAIT_1'
  | 'CLOSING'
  | 'LAST_ACK'
  | 'FIN_WAIT_2'
  | 'TIME_WAIT';

/** A row of `net.inet.tcp.pcblist`. */
export interface TcpPcb extends InetPcb {
  readonly state: TcpState;
  /** Of a listener: complete connections that wait, incomplete ones, the limit. Else 0. */
  readonly qlen: number;
  readonly incqlen: number;
  readonly qlimit: number;
  /** Name of the congestion control; null where the stack does not tell, and on what is no connection. */
  readonly cc: string | null;
  readonly info: TcpInfo | null;
}

/** A row of `net.local.pcblist`. */
export interface LocalPcb extends PcbBase {
  readonly path: string;
  readonly peer: string | null;
  readonly state: 'LISTEN' | 'CONNECTED' | '';
  readonly qlen: number;
  readonly qlimit: number;
}

export interface FileRow {
  readonly owner: string;
  readonly fd: number;
  readonly family: string;
  readonly proto: string;
  readonly type: TypeName;
  readonly nonblock: boolean;
  readonly local: string;
  readonly peer: string | null;
}

export interface ProcRow {
  readonly name: string;
  readonly fib: number;
  readonly files: number;
  readonly maxfiles: number;
}

export interface ModuleRow {
  readonly id: number;
  readonly refs: number;
  readonly name: string;
  readonly version: number;
  /** Who needs it: modules, and other holders. */
  readonly holders: readonly string[];
}

export interface SyscallRow {
  readonly name: string;
  readonly module: string | null;
  readonly state: 'reserved' | 'present' | 'draining';
  readonly inside: number;
}

export interface IfAddrRow {
  readonly name: string;
  readonly addr: string;
  readonly prefixLen: number;
  readonly broadcast?: string;
  readonly dst?: string;
  /** Not in use: still asked for on the link, or another host's (RFC 5227). */
  readonly state?: 'tentative' | 'duplicated';
}

export interface IfCounterRow {
  readonly ipackets: number;
  readonly ierrors: number;
  readonly opackets: number;
  readonly oerrors: number;
  readonly collisions: number;
  readonly ibytes: number;
  readonly obytes: number;
  readonly imcasts: number;
  readonly omcasts: number;
  readonly iqdrops: number;
  readonly oqdrops: number;
  readonly noproto: number;
}

/** A row of `net.iflist`. */
export interface IfRow {
  readonly name: string;
  readonly index: number;
  /** Driver and unit: the first name. */
  readonly dname: string;
  readonly dunit: number;
  readonly type: 'ethernet' | 'loopback' | 'tunnel';
  /** `IFF_*` bits, and their names without the prefix. */
  readonly flags: number;
  readonly flagNames: readonly string[];
  readonly mtu: number;
  readonly lladdr: string | null;
  /** `IFCAP_*` bits: there, and on. */
  readonly capabilities: number;
  readonly capenable: number;
  readonly capNames: readonly string[];
  readonly description: string | null;
  readonly fib: number;
  readonly status: string;
  readonly linkState: 'up' | 'down';
  readonly addrs: readonly IfAddrRow[];
  readonly counters: IfCounterRow;
}

/** A row of `net.routes`. `flags` are netstat(1)'s letters. */
export interface RouteRow {
  readonly dst: string;
  readonly prefixLen: number;
  readonly gateway: string | null;
  readonly name: string;
  readonly flags: string;
  readonly fib: number;
  readonly mtu: number;
}

/** A row of `net.neighbours`. */
export interface NeighRow {
  readonly addr: string;
  readonly name: string;
  readonly lladdr: string | null;
  readonly state: string;
  readonly expireMs: number;
}

/** A row of `net.bpf`. */
export interface BpfRow {
  readonly owner: string;
  readonly interface: string;
  readonly direction: 'in' | 'out' | 'inout';
  readonly captured: number;
  readonly lost: number;
}

/** Rows by the name of the table. */
export interface Tables {
  'net.inet.tcp.pcblist': TcpPcb;
  'net.inet.udp.pcblist': InetPcb;
  'net.inet.raw.pcblist': InetPcb;
  'net.local.pcblist': LocalPcb;
  'kern.file': FileRow;
  'kern.proc': ProcRow;
  'kern.modules_table': ModuleRow;
  'kern.syscalls': SyscallRow;
  'net.iflist': IfRow;
  'net.routes': RouteRow;
  'net.neighbours': NeighRow;
  'net.bpf': BpfRow;
}

export type SysctlValue = number | boolean | string;

export interface SysctlRow {
  readonly name: string;
  /** A table's rows. */
  readonly value: SysctlValue | readonly object[];
  readonly descr: string;
  readonly type: 'int' | 'bool' | 'string' | 'table';
  readonly flags: 'rd' | 'rw' | 'rdtun' | 'rwtun';
}

export interface CounterRow {
  readonly group: string;
  readonly name: string;
  readonly value: number;
  /** A counter only grows (until `reset`); a gauge is what there is now. */
  readonly type: 'counter' | 'gauge';
  /** Counts frames, packets or segments that were dropped. */
  readonly drop: boolean;
  /** A sentence for people; '' where there is none. */
  readonly help: string;
}

export interface ResetAnswer {
  readonly sockets: number;
  readonly counters: number;
  readonly sysctls: number;
}

/** Which end of a frame: its source, its destination, one of them (where left out) or both. */
type Way = 'either' | 'src' | 'dst' | 'both';
type Family = 'any' | 'ip' | 'ip6' | 'arp';

/** What a frame must be, in the terms of pcap-filter(7). The first field says what is looked at. */
export type FilterExpr =
  | { readonly and: readonly FilterExpr[] }
  | { readonly or: readonly FilterExpr[] }
  | { readonly not: FilterExpr }
  | { readonly proto: 'arp' | 'ip' | 'ip6' | 'icmp' | 'icmp6' | 'igmp' | 'tcp' | 'udp' | number }
  | { readonly ethertype: number }
  | { readonly host: string; readonly way?: Way; readonly family?: Family }
  | { readonly net: string; readonly bits: number; readonly way?: Way; readonly family?: Family }
  /** One port, or those up to `to`. */
  | { readonly port: number; readonly to?: number; readonly way?: Way; readonly proto?: 'any' | 'tcp' | 'udp' }
  | { readonly lladdr: string; readonly way?: Way }
  | { readonly group: 'broadcast' | 'multicast' | 'ip multicast' }
  /** Length on the link in bytes, at least or at most. */
  | { readonly greater: number }
  | { readonly less: number }
  | { readonly direction: 'in' | 'out' }
  /** `size` bytes of a header from `at` on, big-endian, under a mask. */
  | {
      readonly bytes: 'ether' | 'ip' | 'ip6' | 'arp' | 'icmp' | 'tcp' | 'udp';
      readonly at: number;
      readonly size?: 1 | 2 | 4;
      readonly mask?: number;
      readonly op: '=' | '!=' | '<' | '>' | '<=' | '>=';
      readonly value: number;
    };

export interface CaptureFilter {
  readonly interface?: string;
  readonly host?: string;
  readonly port?: number;
  readonly proto?: 'arp' | 'ip' | 'ip6' | 'icmp' | 'icmp6' | 'igmp' | 'tcp' | 'udp' | number;
  /** What host, port and proto cannot say. */
  readonly expr?: FilterExpr;
  readonly direction?: 'in' | 'out';
  readonly snaplen?: number;
  readonly count?: number;
  /** Only frames that were dropped. */
  readonly drops?: boolean;
}

export interface CapturedFrame {
  readonly if: string;
  readonly dir: 'in' | 'out';
  /** Seconds since the epoch. */
  readonly ts: number;
  /** Length on the link; `data` may be shorter. */
  readonly len: number;
  readonly data: Uint8Array;
  /** Why it was dropped: counters that moved (`ip.badsum`), or what the link said (`ENETDOWN`). */
  readonly drop: string | null;
  /** `ethernet`, or `raw` for IP without a link header. */
  readonly link: 'ethernet' | 'raw';
}

export interface CaptureEnd {
  readonly captured: number;
  readonly lost: number;
  readonly reason: string;
}

export type EventName =
  'connect' | 'accept' | 'state' | 'drop' | 'load' | 'route' | 'addr' | 'link' | 'ifup' | 'arrival' | 'departure';

export interface KernelEvent {
  readonly event: EventName;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  readonly [field: string]: unknown;
}
