/** Arguments of a call as values: numbers from constants, addresses, descriptors. What does not fit is a `ScriptError` at its place. */
import { type InetSockAddr, ipv4, sockAddr } from '../wire/addr.ts';
import { parseAddr } from '../wire/addrtext.ts';
import type { Arg, CallSpec, Expr } from './ast.ts';
import { CONSTANTS, unknownConstant } from './constants.ts';
import { pattern } from './flow.ts';
import type { Source } from './source.ts';

const NOTHING: Expr = { kind: 'any' };

export class Args {
  readonly src: Source;
  readonly call: CallSpec;

  constructor(src: Source, call: CallSpec) {
    this.src = src;
    this.call = call;
  }

  get(i: number): Arg {
    return this.call.args[i] ?? { at: this.call.result.at, expr: NOTHING };
  }

  /** A failure unless the call has so many arguments. */
  count(...counts: number[]): void {
    const n = this.call.args.length;
    if (!counts.includes(n)) this.fail(`${this.call.name} takes ${counts.join(' or ')} arguments, not ${n}`, this.call.args[0]);
  }

  fail(message: string, arg?: Arg): never {
    return this.src.fail(message, (arg ?? this.call.result).at);
  }

  isAny(i: number): boolean {
    return this.get(i).expr.kind === 'any';
  }

  /** A number, or constants joined by `|`. */
  int(i: number, what: string): number {
    return this.number(this.get(i), what);
  }

  number(arg: Arg, what: string): number {
    const { expr } = arg;
    if (expr.kind === 'number') return expr.value;
    if (expr.kind !== 'words') return this.fail(`${what} is a number or a constant`, arg);
    let value = 0;
    for (const word of expr.words) {
      value |= /^\d/.test(word) ? Number(word) : (CONSTANTS.get(word) ?? this.fail(unknownConstant(word), arg));
    }
    return value;
  }

  items(i: number, what: string): readonly Arg[] {
    const arg = this.get(i);
    return arg.expr.kind === 'list' ? arg.expr.items : this.fail(`${what} is a list in brackets`, arg);
  }

  field(arg: Arg, name: string): Arg | null {
    return arg.expr.kind === 'struct' ? (arg.expr.fields.get(name) ?? null) : null;
  }

  /** `...` is `fallback`; else a structure with `sin_port` and `sin_addr`. */
  addr(i: number, fallback: InetSockAddr): InetSockAddr {
    const arg = this.get(i);
    if (arg.expr.kind === 'any') return fallback;
    const what = '{sa_family = AF_INET, sin_port = htons(N), sin_addr = inet_addr("A")}';
    const port = this.field(arg, 'sin_port') ?? this.fail(`an address is ... or ${what}`, arg);
    const host = this.field(arg, 'sin_addr') ?? this.fail(`an address is ... or ${what}`, arg);
    const text = host.expr.kind === 'string' ? host.expr.value : null;
    const ip = text === null ? ipv4(this.number(host, 'sin_addr')) : parseAddr(text);
    return sockAddr(ip ?? this.fail(`no address: ${text}`, host), this.number(port, 'sin_port'));
  }

  /** What a call sends, and whether the script says the bytes: `...` stands for those of the pattern from `pos`. */
  bytes(arg: Arg, len: number, pos: number): { bytes: Uint8Array; custom: boolean } {
    if (arg.expr.kind === 'any') return { bytes: pattern(pos, len), custom: false };
    if (arg.expr.kind !== 'string') return this.fail('what is sent is ... or a string', arg);
    const bytes = new Uint8Array(len);
    bytes.set(Uint8Array.from(arg.expr.value, (c) => c.charCodeAt(0)).subarray(0, len));
    return { bytes, custom: true };
  }

  /** Lengths of `[{..., 100}, {..., 50}]`, with the argument that says the bytes. */
  iov(arg: Arg): { base: Arg; len: number }[] {
    const { expr } = arg;
    if (expr.kind !== 'list') return this.fail('an iovec is [{..., LENGTH}, ...]', arg);
    return expr.items.map((item) => {
      const [base, len] = item.expr.kind === 'list' ? item.expr.items : [];
      if (base === undefined || len === undefined) return this.fail('an element of an iovec is {..., LENGTH}', item);
      return { base, len: this.number(len, 'the length') };
    });
  }
}
