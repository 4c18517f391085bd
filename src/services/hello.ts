/**
 * Answers each HTTP/1 request head (RFC 9112 §2.1: lines up to an empty one) with one fixed response: what request rates are measured
 * with. Heads are found in the link's own bytes, in as many pieces as they come, pipelined or not, by a machine whose whole state
 * is one small integer in `so.data`; a request allocates nothing. Requests carry no body.
 */
import { isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { soreceive, sosend, sosendref } from '../kern/socket/sendrecv.ts';
import type { Socket } from '../kern/socket/socket.ts';
import { StreamService } from './service.ts';

/** Longest head in bytes; a longer one is answered 431 and the connection closed. */
export const HELLO_HEAD_MAX = 8192;

const OK = latin1('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello');
const OK_CLOSE = latin1('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhello');
const TOO_LARGE = latin1('HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

// The state: bytes of the head so far (14 bits), how much of CR LF CR LF stands at its end (2), where in its line the machine is
// (5), and two flags. 0 is the state between two requests.
const LEN_MASK = 0x3fff;
const CRLF_SHIFT = 14;
const LINE_SHIFT = 16;
const CLOSE = 1 << 21;
/** The last byte of the request line was a zero: at its end that is HTTP/1.0, which closes by default (RFC 9112 §9.3). */
const ZERO = 1 << 22;

// Positions in a line. 0 is the request line; 1 to 11 the number of characters that agree with `connection:`, plus one.
const REQUEST_LINE = 0;
const FIELD_START = 1;
const CONNECTION = latin1('connection:');
const VALUE = 12;
/** Within the value: 12 before a token, 13 to 17 inside `close`, 18 in another token. */
const CLOSE_TOKEN = latin1('close');
const CLOSE_READ = VALUE + CLOSE_TOKEN.length;
const OTHER_TOKEN = 18;
const OTHER_FIELD = 19;

const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
const COMMA = 44;
const DIGIT_0 = 48;

export class Hello extends StreamService {
  constructor(kernel: Kernel) {
    super(kernel, 'hello');
  }

  override data(so: Socket, bytes: Uint8Array, off: number, len: number): number {
    const n = this.#scan(so, bytes, off, off + len) - off;
    this.counters.received += n;
    return n;
  }

  /** Reads heads in [at, end) and answers them; returns where it stopped: before the end of a head whose answer has no room yet. */
  #scan(so: Socket, b: Uint8Array, at: number, end: number): number {
    const state = so.data as number;
    let len = state & LEN_MASK;
    let crlf = (state >>> CRLF_SHIFT) & 3;
    let line = (state >>> LINE_SHIFT) & 31;
    let close = state & CLOSE;
    let zero = state & ZERO;
    for (; at < end; at++) {
      const c = b[at] as number;
      if (c === LF) {
        // Empty lines before a request are passed over (RFC 9112 §2.2).
        if (len === 0) continue;
        if (crlf === 3) {
          if (!this.#answer(so, close !== 0)) break;
          if (so.handler !== this) return end;
          len = crlf = line = close = zero = 0;
          continue;
        }
        crlf = crlf === 1 ? 2 : 0;
        line = FIELD_START;
      } else if (c === CR) {
        if (len === 0) continue;
        if (line === REQUEST_LINE ? zero !== 0 : line === CLOSE_READ) close = CLOSE;
        crlf = crlf === 2 ? 3 : 1;
        line = OTHER_FIELD;
      } else {
        crlf = 0;
        if (line === REQUEST_LINE || line === OTHER_FIELD) {
          // Most bytes say nothing: on to the last of the line, or of what has come of it, by four while none of them can be its end.
          const from = at;
          for (; at + 4 < end; at += 4) {
            if ((b[at + 1] as number) <= CR || (b[at + 2] as number) <= CR) break;
            if ((b[at + 3] as number) <= CR || (b[at + 4] as number) <= CR) break;
          }
          for (; at + 1 < end; at++) {
            const next = b[at + 1] as number;
            if (next === CR || next === LF) break;
          }
          len += at - from;
          if (line === REQUEST_LINE) zero = b[at] === DIGIT_0 ? ZERO : 0;
        } else {
          if (line === CLOSE_READ && c === COMMA) close = CLOSE;
          line = stepField(line, c);
        }
      }
      if (++len > HELLO_HEAD_MAX) return this.#refuse(so, end);
    }
    so.data = len | (crlf << CRLF_SHIFT) | (line << LINE_SHIFT) | close | zero;
    return at;
  }

  /** False: no room for the answer now. */
  #answer(so: Socket, close: boolean): boolean {
    const response = close ? OK_CLOSE : OK;
    if (so.snd.space() < response.length) return false;
    const n = sosendref(so, response, 0, response.length);
    if (n === 'EAGAIN') return false;
    if (isErrno(n)) {
      this.end(so);
      return true;
    }
    this.counters.sent += n;
    if (close) this.end(so);
    return true;
  }

  #refuse(so: Socket, end: number): number {
    sosend(so, TOO_LARGE, 0, TOO_LARGE.length);
    this.end(so);
    return end;
  }

  /** Heads that had to wait in `so.rcv`. */
  #scanWaiting(so: Socket): void {
    while (so.rcv.cc > 0 && so.handler === this) {
      const n = Math.min(so.rcv.cc, this.scratch.length);
      so.rcv.copyOut(0, n, this.scratch, 0);
      const taken = this.#scan(so, this.scratch, 0, n);
      if (taken === 0) break;
      this.counters.received += taken;
      if (so.handler === this) soreceive(so, this.scratch, 0, taken, 0);
      if (taken < n) break;
    }
    if (so.handler === this && this.atEnd(so)) this.end(so);
  }

  override readable(so: Socket): void {
    this.#scanWaiting(so);
  }

  override writable(so: Socket): void {
    if (so.rcv.cc > 0) this.#scanWaiting(so);
  }
}

/** One byte of a field line that may still be `connection: close`. */
function stepField(line: number, c: number): number {
  const low = c | 0x20;
  if (line < VALUE) return low === CONNECTION[line - 1] ? line + 1 : OTHER_FIELD;
  if (c === COMMA) return VALUE;
  if (line === VALUE && (c === SPACE || c === TAB)) return VALUE;
  if (line === CLOSE_READ) return c === SPACE || c === TAB ? CLOSE_READ : OTHER_TOKEN;
  if (line < CLOSE_READ && low === CLOSE_TOKEN[line - VALUE]) return line + 1;
  return OTHER_TOKEN;
}
