/** A line from a client as a request, or what is wrong with it. */

export interface Request {
  readonly id: number | string;
  readonly call: string;
  readonly args: readonly unknown[];
}

export interface Mistake {
  readonly mistake: string;
}

/** Levels of lists and objects in a request: what is answered is walked by recursion, and parsing what is deep takes very long. */
const DEPTH_MAX = 32;

export function parseRequest(text: string): Request | Mistake {
  // The request itself is one more.
  if (isDeeper(text, DEPTH_MAX + 1)) return { mistake: `args has at most ${DEPTH_MAX} levels` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { mistake: 'a line is not JSON' };
  }
  if (typeof value !== 'object' || value === null) return { mistake: 'a request is an object' };
  const { id, call, args = [] } = value as { id?: unknown; call?: unknown; args?: unknown };
  if (typeof id !== 'number' && typeof id !== 'string') {
    return { mistake: 'a request has an id, a number or a string' };
  }
  if (typeof call !== 'string') return { mistake: 'a request has a call, a string' };
  if (!Array.isArray(args)) return { mistake: 'args is a list' };
  return { id, call, args };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Does a text, if it is JSON, have more levels of lists and objects? Strings are skipped. */
function isDeeper(text: string, levels: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = endOfString(text, i);
    else if (c === CLOSE_LIST || c === CLOSE_OBJECT) depth--;
    else if ((c === OPEN_LIST || c === OPEN_OBJECT) && ++depth > levels) return true;
  }
  return false;
}

/** The quote that ends the string which begins at `from`; the text's end where there is none. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}
