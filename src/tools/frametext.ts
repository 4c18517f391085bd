/** A captured frame as `tcpdump` prints it: time, interface, line, reason of its drop, bytes. */
import { ETHER_HDR_LEN } from '../wire/ethernet.ts';
import { type Dissector, linkText } from './dissect.ts';

/** Seconds since the epoch as local time of day with microseconds. */
function timeText(ts: number): string {
  const date = new Date(ts * 1000);
  const part = (value: number, width: number): string => String(value).padStart(width, '0');
  const micros = Math.floor((ts - Math.floor(ts)) * 1e6);
  return `${part(date.getHours(), 2)}:${part(date.getMinutes(), 2)}:${part(date.getSeconds(), 2)}.${part(micros, 6)}`;
}

/** Bytes in rows of 16, as `-x` shows them; with text as `-X` does. */
function hexText(bytes: Uint8Array, ascii: boolean): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = Array.from(row, (byte, i) => byte.toString(16).padStart(2, '0') + (i % 2 === 1 ? ' ' : '')).join('');
    const text = ascii
      ? ` ${Array.from(row, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')}`
      : '';
    lines.push(`\t0x${at.toString(16).padStart(4, '0')}:  ${hex.padEnd(40)}${text}`.trimEnd());
  }
  return lines.join('\n');
}

/** What is shown, from an interface or from a file. */
export interface ShownFrame {
  readonly if: string;
  /** Null where a file does not say. */
  readonly dir: 'in' | 'out' | null;
  readonly ts: number;
  readonly len: number;
  readonly data: Uint8Array;
  readonly link: 'ethernet' | 'raw';
  /** What is told of it behind its line: why it was dropped. */
  readonly note: string | null;
}

export interface FrameFormat {
  readonly dissector: Dissector;
  /** How often `-x` or `-X` was given: twice shows the link header too. */
  readonly hex: number;
  readonly ascii: boolean;
  /** Show the interface and the direction: frames of several. */
  readonly where: boolean;
  /** Show hardware addresses and the length on the link. */
  readonly link: boolean;
  /** Time of day, none, or seconds since the epoch. */
  readonly time: 'day' | 'none' | 'epoch';
}

export function formatFrame(frame: ShownFrame, { dissector, hex, ascii, where, link, time }: FrameFormat): string {
  const isEther = frame.link === 'ethernet';
  const line = isEther ? dissector.ethernet(frame.data, frame.len) : dissector.ip(frame.data);
  const dir = frame.dir === null ? '' : frame.dir === 'in' ? 'In ' : 'Out';
  const at = where ? `${frame.if.padEnd(5)} ${dir} ` : '';
  const ether = link && isEther ? `${linkText(frame.data, frame.len)}: ` : '';
  const when = time === 'none' ? '' : `${time === 'day' ? timeText(frame.ts) : frame.ts.toFixed(6)} `;
  const note = frame.note === null ? '' : ` [${frame.note}]`;
  const bytes = isEther && hex < 2 ? frame.data.subarray(ETHER_HDR_LEN) : frame.data;
  return `${when}${at}${ether}${line}${note}${hex > 0 ? `\n${hexText(bytes, ascii)}` : ''}`;
}
