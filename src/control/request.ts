/** A line from a client as a request, or what is wrong with it. */

export interface Request {
  readonly id: number | string;
  readonly call: string;
  readonly args: readonly unknown[];
}

export interface Mistake {
  readonly mistake: string;
}

/** Levels of lists and objects in a request's arguments: what is answered is walked by recursion. */
const DEPTH_MAX = 32;

export function parseRequest(text: string): Request | Mistake {
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
  if (isDeeper(args, DEPTH_MAX)) return { mistake: `args has at most ${DEPTH_MAX} levels` };
  return { id, call, args };
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
