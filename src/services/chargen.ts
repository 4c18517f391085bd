/**
 * Character generator (RFC 864) over TCP: lines of 72 printable characters and CR LF, each line begins one character further, for as
 * long as the peer keeps the connection. What the peer sends is thrown away. The send buffer is filled as fast as it drains.
 */
import { isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { sosendref } from '../kern/socket/sendrecv.ts';
import type { Socket } from '../kern/socket/socket.ts';
import { StreamService } from './service.ts';

/** The printable characters of ASCII, space to tilde. */
const FIRST = 0x20;
const PRINTABLE = 95;
const WIDTH = 72;
/** After this many bytes the text begins anew. */
export const CHARGEN_PERIOD = PRINTABLE * (WIDTH + 2);
/** Periods in the buffer that is sent from. */
const REPEAT = 16;

/** Whole periods of the text, `REPEAT` of them. */
function chargenText(): Uint8Array {
  const text = new Uint8Array(CHARGEN_PERIOD * REPEAT);
  let at = 0;
  for (let line = 0; line < PRINTABLE * REPEAT; line++) {
    for (let column = 0; column < WIDTH; column++) text[at++] = FIRST + ((line + column) % PRINTABLE);
    text[at++] = 13;
    text[at++] = 10;
  }
  return text;
}

/** `so.data` is the position in the text of the byte that is sent next. */
export class Chargen extends StreamService {
  readonly #text = chargenText();

  constructor(kernel: Kernel) {
    super(kernel, 'chargen');
  }

  protected override opened(so: Socket): void {
    this.#fill(so);
  }

  override writable(so: Socket): void {
    this.#fill(so);
  }

  #fill(so: Socket): void {
    const text = this.#text;
    for (;;) {
      const at = so.data as number;
      const n = sosendref(so, text, at, text.length - at);
      if (isErrno(n)) {
        if (n !== 'EAGAIN') this.end(so);
        return;
      }
      this.counters.sent += n;
      so.data = at + n === text.length ? 0 : at + n;
      if (n < text.length - at) return;
    }
  }

  override data(_so: Socket, _bytes: Uint8Array, _off: number, len: number): number {
    this.counters.received += len;
    return len;
  }

  override readable(so: Socket): void {
    this.discard(so);
    if (this.atEnd(so)) this.end(so);
  }
}
