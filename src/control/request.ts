/** A line from a client as a request, or what is wrong with it. */
import { DEPTH_MAX, NAMES_MAX, VALUES_MAX } from './limits.ts';

export interface Request {
  readonly id: number | string;
  readonly call: string;
  readonly args: readonly unknown[];
}

export interface Mistake {
  readonly mistake: string;
}

export function parseRequest(line: Buffer): Request | Mistake {
  const excess = excessOf(line);
  if (excess !== null) return { mistake: excess };
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return { mistake: 'a line is not JSON' };
  }
  if (typeof value !== 'object' || value === null) return { mistake: 'a request is an object' };
  const { id, call, args = [] } = value as { id?: unknown; call?: unknown; args?: unknown };
  if (typeof id !== 'number' && typeof id !== 'string') {
    return { mistake: 'a request has an id, a number or a string' };
  }
  if (typeof id === 'string' && id.length > ID_MAX) return { mistake: `an id has at most ${ID_MAX} characters` };
  if (typeof call !== 'string') return { mistake: 'a request has a call, a string' };
  if (!Array.isArray(args)) return { mistake: 'args is a list' };
  return { id, call, args };
}

/** Longest id in characters: each answer and each item of a stream repeats it. */
const ID_MAX = 256;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * What a line, if it is JSON, has too much of; null where it may be parsed. The time that parsing takes goes by values and names rather
 * than by bytes: long strings cost next to nothing.
 */
function excessOf(line: Buffer): string | null {
  let depth = 0;
  let values = 0;
  let names = 0;
  for (let i = 0; i < line.length; i++) {
    switch (line[i]) {
      case QUOTE:
        i = endOfString(line, i);
        break;
      case COLON:
        if (++names > NAMES_MAX) return `a request has at most ${NAMES_MAX} names in its objects`;
        break;
      case COMMA:
        if (++values > VALUES_MAX) return `a request has at most ${VALUES_MAX} values`;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        // The request itself is one more.
        if (++depth > DEPTH_MAX + 1) return `args has at most ${DEPTH_MAX} levels`;
        if (++values > VALUES_MAX) return `a request has at most ${VALUES_MAX} values`;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
        break;
      default:
        break;
    }
  }
  return null;
}

/** Strings that are longer than this are searched for their end rather than gone through. */
const SHORT = 64;

/** The quote that ends the string which begins at `from`; the line's end where there is none. */
function endOfString(line: Buffer, from: number): number {
  const near = Math.min(line.length, from + SHORT);
  let i = from + 1;
  for (; i < near; i++) {
    const c = line[i];
    if (c === QUOTE) return i;
    if (c === BACKSLASH) i++;
  }
  // What stands at `i` is not escaped.
  for (let end = line.indexOf(QUOTE, i); end >= 0; end = line.indexOf(QUOTE, end + 1)) {
    let escapes = 0;
    while (end - 1 - escapes >= i && line[end - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return line.length;
}
