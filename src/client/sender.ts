/** `send` of any length: what is longer than one call takes goes in parts, one behind the other, as one send(2) of a blocking socket. */

type SendCall = (fd: number, data: Uint8Array, flags: readonly string[]) => Promise<number>;

/** Flags that speak of the end of the data: only the last part has them. */
const OF_THE_END: ReadonlySet<string> = new Set(['MSG_EOF', 'MSG_EOR', 'MSG_OOB']);

export class Sender {
  readonly #call: SendCall;
  readonly #partBytes: number;
  /** Sends in parts that are under way, by descriptor: a later send waits for them. */
  readonly #sending = new Map<number, Promise<number>>();

  constructor(call: SendCall, partBytes: number) {
    this.#call = call;
    this.#partBytes = partBytes;
  }

  send(fd: number, data: Uint8Array, flags: readonly string[]): Promise<number> {
    const before = this.#sending.get(fd);
    if (before === undefined && data.length <= this.#partBytes) return this.#call(fd, data, flags);
    const parts = (): Promise<number> => this.#parts(fd, data, flags);
    const sent = before === undefined ? parts() : before.then(parts, parts);
    this.#sending.set(fd, sent);
    const done = (): void => {
      if (this.#sending.get(fd) === sent) this.#sending.delete(fd);
    };
    sent.then(done, done);
    return sent;
  }

  async #parts(fd: number, data: Uint8Array, flags: readonly string[]): Promise<number> {
    const before = flags.filter((flag) => !OF_THE_END.has(flag));
    let sent = 0;
    for (;;) {
      const part = data.subarray(sent, sent + this.#partBytes);
      const isLast = sent + part.length === data.length;
      let n: number;
      try {
        n = await this.#call(fd, part, isLast ? flags : before);
      } catch (error) {
        // As send(2): what was sent is told first, and the error by the next call.
        if (sent > 0) return sent;
        throw error;
      }
      sent += n;
      if (isLast || n < part.length) return sent;
    }
  }
}
