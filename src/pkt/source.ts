/**
 * A script's text with a position in it: what the readers of this folder (`parse.ts`, `parseexpr.ts`, `parsepacket.ts`) take their words
 * from. What cannot be read is a `ScriptError`, which names file, line and column, and says what is accepted there.
 */

/** A place in a script: offset into its text. */
export type Pos = number;

export class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

/** White space, and comments: to the end of the line behind `//` or `#`, and between slash-star and star-slash. */
const BLANK = /(?:\s+|\/\/[^\n]*|#[^\n]*|\/\*[^]*?\*\/)+/y;

export class Source {
  readonly file: string;
  readonly text: string;
  pos: Pos = 0;

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
    this.skip();
  }

  /** Line and column, both from 1. */
  where(pos: Pos = this.pos): { line: number; col: number } {
    const before = this.text.slice(0, pos);
    return { line: before.split('\n').length, col: pos - before.lastIndexOf('\n') };
  }

  /** `file:line`. */
  place(pos: Pos): string {
    return `${this.file}:${this.where(pos).line}`;
  }

  fail(message: string, pos: Pos = this.pos): never {
    const { line, col } = this.where(pos);
    throw new ScriptError(`${this.file}:${line}:${col}: ${message}`);
  }

  atEnd(): boolean {
    return this.pos >= this.text.length;
  }

  skip(): void {
    BLANK.lastIndex = this.pos;
    if (BLANK.test(this.text)) this.pos = BLANK.lastIndex;
  }

  /** What `pattern` (with the flag `y`) matches here, and the blank behind it; null if it does not. */
  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.pos;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.pos = pattern.lastIndex;
    this.skip();
    return found[0];
  }

  /** The same, and a failure if it is not there. */
  need(pattern: RegExp, what: string): string {
    return this.take(pattern) ?? this.fail(`expected ${what}, found ${this.found()}`);
  }

  /** True, and past it, if the text goes on with exactly this; a word is taken whole. */
  takes(token: string): boolean {
    if (!this.looks(token)) return false;
    this.pos += token.length;
    this.skip();
    return true;
  }

  looks(token: string): boolean {
    if (!this.text.startsWith(token, this.pos)) return false;
    return !/\w$/.test(token) || !/\w/.test(this.text.charAt(this.pos + token.length));
  }

  expect(token: string): void {
    if (!this.takes(token)) this.fail(`expected '${token}', found ${this.found()}`);
  }

  /** A decimal or hexadecimal number between the limits. */
  integer(what: string, min = 0, max = 0xffffffff): number {
    const at = this.pos;
    const word = this.need(/-?(?:0x[0-9a-fA-F]+|\d+)/y, `${what}, a number from ${min} to ${max}`);
    const n = word.startsWith('-') ? -Number(word.slice(1)) : Number(word);
    return n >= min && n <= max ? n : this.fail(`${what} must be from ${min} to ${max}, not ${word}`, at);
  }

  /** What is here, for a message. */
  found(): string {
    if (this.atEnd()) return 'the end of the file';
    const [word = ''] = /\S\w{0,30}/y.exec(this.text.slice(this.pos)) ?? [];
    return `'${word}'`;
  }

  /** The text from `start` to here, on one line. */
  since(start: Pos): string {
    return this.text.slice(start, this.pos).replace(BLANK_ALL, ' ').trim();
  }
}

const BLANK_ALL = /(?:\s+|\/\/[^\n]*|#[^\n]*|\/\*[^]*?\*\/)+/g;
