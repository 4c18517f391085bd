/** What a script says, as read: options, and events with their times. Numbers are the script's own (relative), times milliseconds. */
import type { Pos } from './source.ts';

/** When an event takes place. `rel`: counted from the event before; `any`: whenever it comes. */
export interface When {
  readonly kind: 'abs' | 'rel' | 'any';
  readonly ms: number;
  /** End of a range (`~`), counted like `ms`. */
  readonly endMs: number | null;
}

export type Expr =
  | { readonly kind: 'any' }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  /** A word, or several joined by `|`. */
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'list'; readonly items: readonly Arg[] }
  | { readonly kind: 'struct'; readonly fields: ReadonlyMap<string, Arg> };

/** An argument, and where it stands. */
export interface Arg {
  readonly at: Pos;
  readonly expr: Expr;
}

export interface CallSpec {
  readonly name: string;
  readonly args: readonly Arg[];
  readonly result: Arg;
  /** Name of the error where the result is -1. */
  readonly errno: string | null;
  /** When a blocking call ends, counted like its start; null: at once. */
  readonly endMs: number | null;
}

/** An option of a TCP header. `null` in a value: anything. */
export type TcpOption =
  | { readonly kind: 'mss'; readonly mss: number | null }
  | { readonly kind: 'wscale'; readonly shift: number | null }
  | { readonly kind: 'sackOK' }
  | { readonly kind: 'nop' }
  | { readonly kind: 'eol' }
  | { readonly kind: 'ts'; readonly val: number | null; readonly ecr: number | null }
  | { readonly kind: 'sack'; readonly blocks: readonly (readonly [number, number])[] }
  /** Fast Open (RFC 7413), or by the experimental option. `cookie` null: anything; empty: a request; `given`: the one that the stack gave last. */
  | { readonly kind: 'fo' | 'foexp'; readonly cookie: Uint8Array | 'given' | null }
  /** AccECN's byte counters (RFC 9768), as many as there are; `order` 0: those of ECT(0) first. */
  | { readonly kind: 'accecn'; readonly order: number; readonly fields: readonly number[] }
  /** User timeout (RFC 5482), seconds. */
  | { readonly kind: 'uto'; readonly sec: number }
  /** `raw 254:0102`: number and bytes behind the length. */
  | { readonly kind: 'raw'; readonly type: number; readonly data: Uint8Array };

export interface IpInfo {
  /** The two ECN bits; `ect01`: either of ECT's. */
  readonly ecn: number | 'ect01' | null;
  readonly tos: number | null;
  readonly ttl: number | null;
}

export interface TcpSpec {
  readonly proto: 'tcp';
  /** `TH_*` bits, and AE as 0x100. */
  readonly flags: number;
  /** Those of `flags` that may also be absent. */
  readonly maybe: number;
  readonly seq: number;
  readonly len: number;
  readonly ack: number | null;
  readonly win: number | null;
  readonly urg: number | null;
  /** Null: whatever comes. */
  readonly options: readonly TcpOption[] | null;
  /** There may be others than `options`. */
  readonly more: boolean;
}

export interface UdpSpec {
  readonly proto: 'udp';
  readonly len: number;
}

export interface IcmpSpec {
  readonly proto: 'icmp';
  readonly type: number;
  readonly code: number;
  readonly mtu: number | null;
  /** Identifier and sequence number of an echo. */
  readonly id: number | null;
  readonly seq: number | null;
  /** Payload of an echo in bytes. */
  readonly len: number;
  /** The packet that an error is about. */
  readonly quoted: { readonly proto: 'tcp'; readonly seq: number; readonly len: number } | UdpSpec | null;
}

export type TransportSpec = TcpSpec | UdpSpec | IcmpSpec;

export interface PacketSpec {
  readonly dir: 'in' | 'out';
  readonly ip: IpInfo;
  /** Source and destination where the script names them. */
  readonly ports: readonly [number, number] | null;
  readonly body: TransportSpec;
}

export type Action =
  | { readonly kind: 'packet'; readonly packet: PacketSpec }
  | { readonly kind: 'call'; readonly call: CallSpec }
  | { readonly kind: 'command'; readonly text: string }
  | { readonly kind: 'code'; readonly text: string };

export interface Event {
  readonly at: Pos;
  /** The action as it is written, on one line. */
  readonly text: string;
  readonly when: When;
  readonly action: Action;
}

export interface OptionSpec {
  readonly at: Pos;
  readonly name: string;
  readonly value: string | null;
}

export interface Script {
  readonly options: readonly OptionSpec[];
  readonly events: readonly Event[];
  /** Stacks that this script is not for, and why. */
  readonly skips: ReadonlyMap<string, string>;
}
