/**
 * Does a packet of the stack's answer the script's description? What the script leaves out is not compared, except TCP options: those that
 * are not written may not be there, unless the list ends in `...`. The order of options and their padding are the sender's choice
 * (RFC 9293 §3.2) and are not compared.
 */
import { TH_ACK } from '../wire/tcp.ts';
import type { IcmpSpec, IpInfo, PacketSpec, TcpOption, TcpSpec } from './ast.ts';
import type { LivePacket } from './frame.ts';
import { type Shown, printFlags, printOption } from './print.ts';

/** The first thing that differs, in words; null if nothing does. `tickMs` 0: values of timestamps are not compared. */
export function compare(spec: PacketSpec, live: LivePacket, shown: Shown, tickMs: number): string | null {
  const ip = compareIp(spec.ip, live);
  if (ip !== null) return ip;
  const { body } = spec;
  if (body.proto !== shown.body.proto) return `the protocol is ${shown.body.proto}`;
  if (body.proto === 'udp' && shown.body.proto === 'udp') return differs('length', body.len, shown.body.len);
  if (body.proto === 'icmp' && shown.body.proto === 'icmp') return compareIcmp(body, shown.body);
  if (body.proto === 'tcp' && shown.body.proto === 'tcp') return compareTcp(body, shown.body, tickMs);
  return null;
}

function differs(what: string, wanted: number | null, came: number | null): string | null {
  return wanted === null || wanted === came ? null : `${what} is ${came ?? 'absent'}, not ${wanted}`;
}

function compareIp(ip: IpInfo, live: LivePacket): string | null {
  const ecn = live.tos & 3;
  if (ip.ecn === 'ect01' && ecn !== 1 && ecn !== 2) return `ECN bits are ${ecn}, not ECT`;
  if (typeof ip.ecn === 'number' && ip.ecn !== ecn) return `ECN bits are ${ecn}, not ${ip.ecn}`;
  return differs('tos', ip.tos, live.tos) ?? differs('ttl', ip.ttl, live.ttl);
}

type ShownTcp = Extract<Shown['body'], { proto: 'tcp' }>;

function compareTcp(spec: TcpSpec, came: ShownTcp, tickMs: number): string | null {
  if (((spec.flags ^ came.flags) & ~spec.maybe) !== 0)
    return `flags are ${printFlags(came.flags)}, not ${printFlags(spec.flags)}`;
  const ack = (came.flags & TH_ACK) !== 0 ? came.ack : null;
  return (
    differs('the sequence number', spec.seq, came.seq) ??
    differs('the length', spec.len, came.len) ??
    (ack === null && (spec.maybe & TH_ACK) !== 0 ? null : differs('ack', spec.ack, ack)) ??
    differs('win', spec.win, came.win) ??
    differs('urg', spec.urg, came.urg) ??
    compareOptions(spec, came.options, tickMs)
  );
}

function compareOptions(spec: TcpSpec, came: readonly TcpOption[], tickMs: number): string | null {
  if (spec.options === null) return null;
  const left = came.filter((o) => o.kind !== 'nop' && o.kind !== 'eol');
  for (const wanted of spec.options) {
    if (wanted.kind === 'nop' || wanted.kind === 'eol') continue;
    const i = left.findIndex((o) => sameOption(wanted, o, tickMs));
    if (i < 0) return `option ${printOption(wanted)} is not there`;
    left.splice(i, 1);
  }
  return left.length === 0 || spec.more ? null : `option ${left.map(printOption).join(',')} is there`;
}

function sameOption(a: TcpOption, b: TcpOption, tickMs: number): boolean {
  if (a.kind === 'mss' && b.kind === 'mss') return a.mss === null || a.mss === b.mss;
  if (a.kind === 'wscale' && b.kind === 'wscale') return a.shift === null || a.shift === b.shift;
  if (a.kind === 'ts' && b.kind === 'ts') {
    if (a.ecr !== null && a.ecr !== b.ecr) return false;
    return a.val === null || tickMs === 0 || Math.abs(((b.val ?? 0) - a.val) | 0) <= Math.ceil(4 / tickMs);
  }
  if (a.kind === 'sack' && b.kind === 'sack') return String(a.blocks) === String(b.blocks);
  if ((a.kind === 'fo' && b.kind === 'fo') || (a.kind === 'foexp' && b.kind === 'foexp')) {
    return a.cookie === null || String(a.cookie) === String(b.cookie);
  }
  if (a.kind === 'accecn' && b.kind === 'accecn') return a.order === b.order && String(a.fields) === String(b.fields);
  if (a.kind === 'uto' && b.kind === 'uto') return a.sec === b.sec;
  if (a.kind === 'raw' && b.kind === 'raw') return a.type === b.type && String(a.data) === String(b.data);
  return a.kind === b.kind && a.kind === 'sackOK';
}

function compareIcmp(spec: IcmpSpec, came: IcmpSpec): string | null {
  const numbers =
    differs('type', spec.type, came.type) ??
    differs('code', spec.code, came.code) ??
    differs('mtu', spec.mtu, came.mtu) ??
    differs('id', spec.id, came.id) ??
    differs('seq', spec.seq, came.seq);
  if (numbers !== null || spec.quoted === null)
    return numbers ?? (spec.len > 0 ? differs('the length', spec.len, came.len) : null);
  const { quoted } = came;
  if (quoted?.proto !== spec.quoted.proto) return 'it quotes another packet';
  if (spec.quoted.proto === 'tcp' && quoted.proto === 'tcp') {
    return differs('the quoted sequence number', spec.quoted.seq, quoted.seq);
  }
  return differs('the quoted length', spec.quoted.len, quoted.len);
}
