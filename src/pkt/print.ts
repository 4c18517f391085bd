/** Packets in the script's language: what came, as a script would have to write it. */
import type { IpInfo, IcmpSpec, TcpOption } from './ast.ts';
import { ICMP_CODES, ICMP_TYPES } from './icmpnames.ts';
import { FLAG_LETTERS } from './parsepacket.ts';
import { TH_ACK, TH_URG } from '../wire/tcp.ts';

/** A packet with numbers as the script counts them. */
export interface Shown {
  readonly ip: IpInfo;
  readonly body:
    | {
        readonly proto: 'tcp';
        readonly flags: number;
        readonly seq: number;
        readonly len: number;
        readonly ack: number;
        readonly win: number;
        readonly urg: number;
        readonly options: readonly TcpOption[];
      }
    | { readonly proto: 'udp'; readonly len: number }
    | IcmpSpec;
}

/** Seconds with three to six decimals. */
export function printTime(ms: number): string {
  return (ms / 1000).toFixed(6).replace(/0{1,3}$/, '');
}

export function printFlags(flags: number): string {
  const letters = FLAG_LETTERS.filter(([, bit]) => (flags & bit) !== 0).map(([letter]) => letter);
  return letters.length === 0 ? '-' : letters.join('');
}

/** A cookie, or other bytes. */
const cookie = (c: Uint8Array | 'given' | null): string => (c === null ? '...' : c === 'given' ? 'TFO_COOKIE' : hex(c));
const hex = (b: Uint8Array | null): string => Array.from(b ?? [], (v) => v.toString(16).padStart(2, '0')).join('');
const or = (v: number | null): string => (v === null ? '...' : String(v));

export function printOption(o: TcpOption): string {
  switch (o.kind) {
    case 'mss':
      return `mss ${or(o.mss)}`;
    case 'wscale':
      return `wscale ${or(o.shift)}`;
    case 'ts':
      return `TS val ${or(o.val)} ecr ${or(o.ecr)}`;
    case 'sack':
      return `sack ${o.blocks.map(([left, right]) => `${left}:${right}`).join(' ')}`;
    case 'fo':
      return `FO ${cookie(o.cookie)}`.trim();
    case 'foexp':
      return `FOEXP ${cookie(o.cookie)}`.trim();
    case 'accecn': {
      const words = o.order === 0 ? ['e0b', 'ceb', 'e1b'] : ['e1b', 'ceb', 'e0b'];
      return ['ECN', ...o.fields.map((v, i) => `${words[i]} ${v}`)].join(' ');
    }
    case 'uto':
      return `UTO ${o.sec}`;
    case 'raw':
      return `raw ${o.type}:${hex(o.data)}`;
    case 'sackOK':
    case 'nop':
    case 'eol':
      return o.kind;
  }
}

function printIp(ip: IpInfo): string {
  const parts: string[] = [];
  if (typeof ip.ecn === 'number' && ip.ecn !== 0) parts.push(['noecn', 'ect1', 'ect0', 'ce'][ip.ecn] ?? '');
  if (ip.tos !== null) parts.push(`tos 0x${ip.tos.toString(16)}`);
  if (ip.ttl !== null) parts.push(`ttl ${ip.ttl}`);
  return parts.length === 0 ? '' : `[${parts.join(', ')}] `;
}

/** Without the direction. */
export function printPacket({ ip, body }: Shown): string {
  const head = printIp(ip);
  if (body.proto === 'udp') return `${head}udp (${body.len})`;
  if (body.proto === 'icmp') return `${head}${printIcmp(body)}`;
  const parts = [printFlags(body.flags), `${body.seq}:${(body.seq + body.len) >>> 0}(${body.len})`];
  if ((body.flags & TH_ACK) !== 0) parts.push(`ack ${body.ack}`);
  parts.push(`win ${body.win}`);
  if ((body.flags & TH_URG) !== 0 || body.urg !== 0) parts.push(`urg ${body.urg}`);
  if (body.options.length > 0) parts.push(`<${body.options.map(printOption).join(',')}>`);
  return head + parts.join(' ');
}

function printIcmp(icmp: IcmpSpec): string {
  const type = [...ICMP_TYPES].find(([, n]) => n === icmp.type)?.[0] ?? `type ${icmp.type}`;
  const parts = ['icmp', type];
  const code = ICMP_CODES.get(icmp.type)?.[icmp.code];
  if (code !== undefined) parts.push(code);
  else if (icmp.code !== 0) parts.push(`code ${icmp.code}`);
  if (icmp.mtu !== null) parts.push(`mtu ${icmp.mtu}`);
  if (icmp.id !== null) parts.push(`id ${icmp.id}`);
  if (icmp.seq !== null) parts.push(`seq ${icmp.seq}`);
  if (icmp.len > 0) parts.push(`(${icmp.len})`);
  const { quoted } = icmp;
  if (quoted?.proto === 'udp') parts.push(`[udp (${quoted.len})]`);
  if (quoted?.proto === 'tcp') parts.push(`[${quoted.seq}:${(quoted.seq + quoted.len) >>> 0}(${quoted.len})]`);
  return parts.join(' ');
}
