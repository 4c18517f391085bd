/**
 * Arguments of system calls: `...`, numbers, strings, words joined by `|`, lists in brackets, structures in braces with or without
 * names of fields, and the two functions that scripts write addresses with, `htons(80)` and `inet_addr("192.0.2.1")`.
 */
import type { Arg, Expr } from './ast.ts';
import type { Source } from './source.ts';

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '0': '\0' };

export function parseArg(src: Source): Arg {
  const at = src.pos;
  return { at, expr: parseExpr(src) };
}

function parseExpr(src: Source): Expr {
  if (src.takes('...')) return { kind: 'any' };
  if (src.looks('"')) return parseString(src);
  if (src.takes('[')) return { kind: 'list', items: parseItems(src, ']') };
  if (src.takes('{')) return parseBraces(src);
  if (src.looks('inet6_addr')) src.fail('IPv6 addresses: no stack here has IPv6');
  if (src.takes('htons') || src.takes('inet_addr')) {
    src.expect('(');
    const inner = parseExpr(src);
    src.expect(')');
    return inner;
  }
  const at = src.pos;
  const number = src.take(/-?(?:0x[0-9a-fA-F]+|\d+)(?!\w)/y);
  if (number !== null && !src.looks('|')) return { kind: 'number', value: toNumber(number) };
  const words = [number ?? parseWord(src, at)];
  while (src.takes('|')) words.push(src.take(/(?:0x[0-9a-fA-F]+|\d+)(?!\w)/y) ?? parseWord(src, src.pos));
  return { kind: 'words', words };
}

function toNumber(text: string): number {
  return text.startsWith('-') ? -Number(text.slice(1)) : Number(text);
}

function parseWord(src: Source, at: number): string {
  const word = src.take(/[A-Za-z_]\w*/y);
  return (
    word ?? src.fail(`expected an argument (..., a number, "text", a constant, [list] or {structure}), found ${src.found()}`, at)
  );
}

/** Strings that follow each other are one. */
function parseString(src: Source): Expr {
  let value = '';
  while (src.looks('"')) {
    const quoted = src.need(/"(?:\\[^]|[^"\\])*"/y, 'a string that ends');
    value += quoted
      .slice(1, -1)
      .replace(/\\x([0-9a-fA-F]{2})|\\([^])/g, (_all, hex: string | undefined, c: string) =>
        hex === undefined ? (ESCAPES[c] ?? c) : String.fromCharCode(parseInt(hex, 16)),
      );
  }
  src.takes('...');
  return { kind: 'string', value };
}

function parseItems(src: Source, end: string): Arg[] {
  const items: Arg[] = [];
  while (!src.takes(end)) {
    if (items.length > 0) src.expect(',');
    items.push(parseArg(src));
  }
  return items;
}

/** `{a, b}`, or `{name=a, name(...)=b}`: the parenthesis is packetdrill's note of a length. */
function parseBraces(src: Source): Expr {
  const named = /[a-z_]\w*\s*(?:\([^)]*\)\s*)?=/y;
  named.lastIndex = src.pos;
  if (!named.test(src.text)) return { kind: 'list', items: parseItems(src, '}') };
  const fields = new Map<string, Arg>();
  while (!src.takes('}')) {
    if (fields.size > 0) src.expect(',');
    const name = src.need(/[a-z_]\w*/y, 'the name of a field');
    if (src.looks('(')) src.need(/\([^)]*\)/y, 'a length');
    src.expect('=');
    fields.set(name, parseArg(src));
  }
  return { kind: 'struct', fields };
}
