/**
 * Blocks of assertions, `%{ assert tcpi_unacked == 2 and tcpi_state == 1 }%`: of packetdrill's embedded Python, `assert` with comparisons
 * and arithmetic of integers and of the fields of TCP_INFO. Anything else is refused.
 */

/** TCP_INFO as the stacks fill it. */
export type Info = Readonly<Record<string, unknown>>;

/** Linux's numbers of the states (net/tcp_states.h). */
const STATES: Readonly<Record<string, number>> = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECEIVED: 3,
  FIN_WAIT_1: 4,
  FIN_WAIT_2: 5,
  TIME_WAIT: 6,
  CLOSED: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
};

/** What does not hold, or cannot be read; null if all holds. */
export interface AssertResult {
  readonly failed: string | null;
  readonly refused: string | null;
}

class Refused extends Error {}

export function runAssertions(code: string, info: Info | null): AssertResult {
  try {
    for (const statement of code.split(/[\n;]/)) {
      const text = statement.replace(/#.*$/, '').trim();
      if (text === '' || text.startsWith('print')) continue;
      const [, condition] = /^assert\s+(.*)$/.exec(text) ?? [];
      if (condition === undefined) throw new Refused(`'${text}' is not an assert`);
      const reader = new Expression(condition, info);
      if (reader.or() === 0)
        return { failed: `${reader.read.trim()}, with ${reader.seen.join(', ') || 'nothing'}`, refused: null };
      // Behind a comma is what Python would print.
      if (!reader.atEnd() && !reader.rest().startsWith(',')) throw new Refused(`cannot read '${reader.rest()}'`);
    }
    return { failed: null, refused: null };
  } catch (error) {
    if (error instanceof Refused)
      return {
        failed: null,
        refused: `${error.message}; accepted are assert, comparisons, and, or, not, + - * / %, numbers and tcpi_ fields`,
      };
    throw error;
  }
}

/** A recursive-descent reader that evaluates as it goes. */
class Expression {
  readonly #text: string;
  readonly #info: Info | null;
  #pos = 0;
  /** Fields that were looked at, with their values. */
  readonly seen: string[] = [];

  constructor(text: string, info: Info | null) {
    this.#text = text;
    this.#info = info;
  }

  get read(): string {
    return this.#text.slice(0, this.#pos);
  }
  rest(): string {
    return this.#text.slice(this.#pos).trim();
  }
  atEnd(): boolean {
    return this.rest() === '';
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#pos;
    const found = pattern.exec(this.#text);
    if (found === null) return null;
    this.#pos = pattern.lastIndex;
    return found[1] ?? '';
  }

  or(): number {
    let value = this.#and();
    while (this.#take(/\s*(or)\b/y) !== null) value = this.#and() || value;
    return value;
  }

  #and(): number {
    let value = this.#not();
    while (this.#take(/\s*(and)\b/y) !== null) value = this.#not() && value;
    return value;
  }

  #not(): number {
    return this.#take(/\s*(not)\b/y) === null ? this.#comparison() : Number(this.#not() === 0);
  }

  #comparison(): number {
    let left = this.#sum();
    let holds = true;
    let compared = false;
    for (let op = this.#take(/\s*(==|!=|<=|>=|<|>)/y); op !== null; op = this.#take(/\s*(==|!=|<=|>=|<|>)/y)) {
      const right = this.#sum();
      const ok: Readonly<Record<string, boolean>> = {
        '==': left === right,
        '!=': left !== right,
        '<=': left <= right,
        '>=': left >= right,
        '<': left < right,
        '>': left > right,
      };
      holds &&= ok[op] === true;
      compared = true;
      left = right;
    }
    return compared ? Number(holds) : left;
  }

  #sum(): number {
    let value = this.#product();
    for (let op = this.#take(/\s*([+-])/y); op !== null; op = this.#take(/\s*([+-])/y)) {
      const right = this.#product();
      value = op === '+' ? value + right : value - right;
    }
    return value;
  }

  #product(): number {
    let value = this.#term();
    for (let op = this.#take(/\s*(\/\/|[*/%])/y); op !== null; op = this.#take(/\s*(\/\/|[*/%])/y)) {
      const right = this.#term();
      value = op === '*' ? value * right : op === '%' ? value % right : op === '//' ? Math.floor(value / right) : value / right;
    }
    return value;
  }

  #term(): number {
    if (this.#take(/\s*(\()/y) !== null) {
      const value = this.or();
      if (this.#take(/\s*(\))/y) === null) throw new Refused("expected ')'");
      return value;
    }
    const number = this.#take(/\s*(-?\d+(?:\.\d+)?)/y);
    if (number !== null) return Number(number);
    const name = this.#take(/\s*(tcpi_\w+)/y);
    if (name === null) throw new Refused(`cannot read '${this.rest()}'`);
    const value = field(this.#info, name.slice('tcpi_'.length));
    this.seen.push(`${name} ${value}`);
    return value;
  }
}

/** Windows of congestion are Linux's segments here, and bytes in our TCP_INFO. */
function field(info: Info | null, name: string): number {
  if (info === null) throw new Refused('there is no connection to ask about');
  const value = info[name];
  if (name === 'state') return STATES[String(value)] ?? 7;
  if (typeof value !== 'number') throw new Refused(`this stack's TCP_INFO has no number ${name}`);
  if (name === 'snd_cwnd' || name === 'snd_ssthresh') return Math.floor(value / Math.max(1, Number(info['snd_mss'])));
  return value;
}
