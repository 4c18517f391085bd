/** What came from a client and is not served yet: pieces, out of which complete lines are taken without copying the rest. */

const LF = 10;
const CR = 13;

export class LineBuffer {
  /** Whether there is a complete line; bytes in all. */
  hasLine = false;
  length = 0;
  #pieces: Buffer[] = [];

  push(chunk: Buffer): void {
    this.length += chunk.length;
    this.hasLine ||= chunk.includes(LF);
    // Pieces get shorter towards the end, so there are few of them, however small they come.
    let piece = chunk;
    for (let last = this.#pieces.at(-1); last !== undefined && last.length <= piece.length; last = this.#pieces.at(-1)) {
      this.#pieces.pop();
      piece = Buffer.concat([last, piece]);
    }
    this.#pieces.push(piece);
  }

  /** How many pieces it is in. */
  get pieces(): number {
    return this.#pieces.length;
  }

  clear(): void {
    this.#pieces = [];
    this.length = 0;
    this.hasLine = false;
  }

  /** The next complete line that is not empty, without its end; or null. */
  next(): Buffer | null {
    if (!this.hasLine) return null;
    const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    // Empty lines are no requests: however many there are, they are passed over at once.
    let from = 0;
    while (bytes[from] === LF || bytes[from] === CR) from++;
    const at = bytes.indexOf(LF, from);
    const rest = bytes.subarray(at < 0 ? from : at + 1);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.length = rest.length;
    this.hasLine = rest.includes(LF);
    return at < 0 ? null : bytes.subarray(from, at);
  }
}
