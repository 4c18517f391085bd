/** A TCP segment as tcpdump(1) shows it: flags, sequence numbers relative to the connection's first, window, options. */
import { get16, get32 } from '../wire/bytes.ts';
import {
  TCPOPT_EOL,
  TCPOPT_FASTOPEN,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCPOPT_SACK_PERMITTED,
  TCPOPT_TIMESTAMP,
  TCPOPT_WSCALE,
  TCP_ACK,
  TCP_FLAGS,
  TCP_HDR_LEN,
  TCP_SEQ,
  TCP_URP,
  TCP_WIN,
  TH_ACK,
  TH_CWR,
  TH_ECE,
  TH_FIN,
  TH_PUSH,
  TH_RST,
  TH_SYN,
  TH_URG,
  tcpHdrLen,
} from '../wire/tcp.ts';

/** Connections whose first sequence numbers are kept; the oldest goes when there are more. */
const FLOWS_MAX = 4096;

const FLAGS: readonly (readonly [number, string])[] = [
  [TH_FIN, 'F'],
  [TH_SYN, 'S'],
  [TH_RST, 'R'],
  [TH_PUSH, 'P'],
  [TH_ACK, '.'],
  [TH_URG, 'U'],
  [TH_ECE, 'E'],
  [TH_CWR, 'W'],
];

export class TcpDissector {
  readonly #absolute: boolean;
  /** First sequence number of each direction. */
  readonly #first = new Map<string, number>();

  constructor(absolute: boolean) {
    this.#absolute = absolute;
  }

  /** `len`: bytes of the segment, header included, as IP says. */
  line(src: string, dst: string, b: Uint8Array, len: number): string {
    if (b.length < TCP_HDR_LEN) return `${src} > ${dst}: [|tcp]`;
    const from = `${src}.${get16(b, 0)}`;
    const to = `${dst}.${get16(b, 2)}`;
    const hdrLen = tcpHdrLen(b, 0);
    if (hdrLen < TCP_HDR_LEN || hdrLen > len) return `${from} > ${to}: bad TCP header length ${hdrLen}`;
    const flags = b[TCP_FLAGS] ?? 0;
    const seq = get32(b, TCP_SEQ);
    const text = len - hdrLen;
    const syn = (flags & TH_SYN) !== 0;
    const parts = [`Flags [${FLAGS.map(([bit, letter]) => ((flags & bit) !== 0 ? letter : '')).join('') || 'none'}]`];
    const base = this.#base(`${from} ${to}`, seq, syn);
    if (text > 0 || syn || (flags & (TH_FIN | TH_RST)) !== 0) {
      const start = syn ? seq >>> 0 : (seq - base) >>> 0;
      parts.push(text > 0 ? `seq ${start}:${(start + text) >>> 0}` : `seq ${start}`);
    }
    if ((flags & TH_ACK) !== 0) {
      // The other direction's first number; when its SYN was not seen, this acknowledgment stands in for it.
      const ack = get32(b, TCP_ACK);
      const other = this.#base(`${to} ${from}`, (ack - 1) | 0, false);
      parts.push(`ack ${(ack - (syn ? (ack - 1) | 0 : other)) >>> 0}`);
    }
    parts.push(`win ${get16(b, TCP_WIN)}`);
    if ((flags & TH_URG) !== 0) parts.push(`urg ${get16(b, TCP_URP)}`);
    const options = optionsText(
      b,
      TCP_HDR_LEN,
      Math.min(hdrLen, b.length),
      this.#first.get(`${to} ${from}`) ?? 0,
      this.#absolute,
    );
    if (options !== '') parts.push(`options [${options}]`);
    parts.push(`length ${text}`);
    return `${from} > ${to}: ${parts.join(', ')}`;
  }

  #base(key: string, seq: number, syn: boolean): number {
    if (this.#absolute) return 0;
    const known = this.#first.get(key);
    if (known !== undefined && !syn) return known;
    this.#first.delete(key);
    this.#first.set(key, seq);
    if (this.#first.size > FLOWS_MAX) {
      const oldest = this.#first.keys().next().value;
      if (oldest !== undefined) this.#first.delete(oldest);
    }
    return seq;
  }
}

function optionsText(b: Uint8Array, start: number, end: number, sackBase: number, absolute: boolean): string {
  const out: string[] = [];
  for (let at = start; at < end;) {
    const kind = b[at] ?? 0;
    if (kind === TCPOPT_EOL) {
      out.push('eol');
      break;
    }
    if (kind === TCPOPT_NOP) {
      out.push('nop');
      at++;
      continue;
    }
    const len = b[at + 1] ?? 0;
    if (len < 2 || at + len > end) {
      out.push(`[bad opt ${kind}]`);
      break;
    }
    out.push(optionText(b, at, kind, len, absolute ? 0 : sackBase));
    at += len;
  }
  return out.join(',');
}

function optionText(b: Uint8Array, at: number, kind: number, len: number, sackBase: number): string {
  if (kind === TCPOPT_MSS && len === 4) return `mss ${get16(b, at + 2)}`;
  if (kind === TCPOPT_WSCALE && len === 3) return `wscale ${b[at + 2] ?? 0}`;
  if (kind === TCPOPT_SACK_PERMITTED && len === 2) return 'sackOK';
  if (kind === TCPOPT_TIMESTAMP && len === 10) return `TS val ${get32(b, at + 2) >>> 0} ecr ${get32(b, at + 6) >>> 0}`;
  if (kind === TCPOPT_FASTOPEN) {
    const cookie = Array.from(b.subarray(at + 2, at + len), (byte) => byte.toString(16).padStart(2, '0')).join('');
    return cookie === '' ? 'tfo cookiereq' : `tfo cookie ${cookie}`;
  }
  if (kind === TCPOPT_SACK && (len - 2) % 8 === 0) {
    let text = `sack ${(len - 2) / 8} `;
    for (let i = at + 2; i < at + len; i += 8)
      text += `{${(get32(b, i) - sackBase) >>> 0}:${(get32(b, i + 4) - sackBase) >>> 0}}`;
    return text;
  }
  return `unknown-${kind}`;
}
