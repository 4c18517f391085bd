/** One write of a stream on its way into `so.snd`: the chunks, how far they have got, and whom to tell. */
import { type Errno, isErrno } from '../kern/errno.ts';
import { sosend } from '../kern/socket/sendrecv.ts';
import type { Socket } from '../kern/socket/socket.ts';

export type Done = (err?: Error | null) => void;

const NOTHING: readonly Uint8Array[] = [];

export class Writer {
  /** Bytes of the writes that are done. */
  dispatched = 0;
  #chunks: readonly Uint8Array[] = NOTHING;
  #chunk = 0;
  #off = 0;
  #done: Done | null = null;

  /** Is a write under way? */
  get busy(): boolean {
    return this.#done !== null;
  }

  /** Streams write one after the other, so there is none under way. */
  begin(chunks: readonly Uint8Array[], done: Done): void {
    this.#chunks = chunks;
    this.#chunk = this.#off = 0;
    this.#done = done;
  }

  /**
   * Fills `so.snd`, in one pass for all chunks, so that they share segments. True: all of it is in. False: the rest has to wait
   * for room. Or why it cannot go on.
   */
  push(so: Socket): boolean | Errno {
    for (; this.#chunk < this.#chunks.length; this.#chunk++, this.#off = 0) {
      const chunk = this.#chunks[this.#chunk] as Uint8Array;
      while (this.#off < chunk.length) {
        const n = sosend(so, chunk, this.#off, chunk.length - this.#off);
        if (n === 'EAGAIN') return false;
        if (isErrno(n)) return n;
        this.#off += n;
      }
    }
    return true;
  }

  /** Ends the write and tells its stream. */
  finish(err: Error | null): void {
    const done = this.#done;
    for (const chunk of this.#chunks) this.dispatched += chunk.length;
    this.#chunks = NOTHING;
    this.#done = null;
    done?.(err);
  }
}
