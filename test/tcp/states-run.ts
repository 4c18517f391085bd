/**
 * The table of states and segments, and how one segment of it is tried: every state of RFC 9293 §3.3.2, each kind of segment, at each place:
 * left of the window, over its left edge, at it, inside, at its last byte, over its right edge, just behind it, far from it; and each
 * value of the ACK field. What is answered, and which state follows, is what `states-oracle.ts` says.
 */
import { SimRandom } from '../../src/kern/effects/sim.ts';
import { isErrno } from '../../src/kern/errno.ts';
import { soaccept } from '../../src/kern/socket/calls.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';
import { type Got, type Peer, TcpHarness } from './harness.ts';
import { type Outcome, type Reply, type Segment, type State, type Vars, oracle } from './states-oracle.ts';

export const STACKS: readonly (readonly [string, ModuleSpec])[] = [
  ['inet', inet],
  ['alt', alt],
];

/** The states, as the harness makes them one from the other. */
export const MAKE: Readonly<Record<State, (t: TcpHarness) => Peer>> = {
  CLOSED: (t) => t.peer(81),
  LISTEN(t) {
    const listener = t.listen();
    const p = t.peer(80);
    p.listener = listener;
    return p;
  },
  SYN_SENT: (t) => t.synSent(),
  SYN_RECEIVED: (t) => t.synReceived(),
  ESTABLISHED: (t) => t.established(),
  FIN_WAIT_1: (t) => t.finWait1(),
  FIN_WAIT_2: (t) => t.finWait2(),
  CLOSE_WAIT: (t) => t.closeWait(),
  CLOSING: (t) => t.closing(),
  LAST_ACK: (t) => t.lastAck(),
  TIME_WAIT: (t) => t.timeWait(),
};
export const STATES = Object.keys(MAKE) as State[];
const W = 65_535;

/** The numbers of a connection in each state: what we have had of the peer, and what it has had of us. */
const VARS: Readonly<Record<State, Vars>> = {
  CLOSED: { rcvNxt: 0, rcvWnd: 0, sndUna: 0, sndNxt: 0, maxWnd: 0 },
  LISTEN: { rcvNxt: 0, rcvWnd: 0, sndUna: 0, sndNxt: 0, maxWnd: 0 },
  SYN_SENT: { rcvNxt: 0, rcvWnd: W, sndUna: 0, sndNxt: 1, maxWnd: 0 },
  SYN_RECEIVED: { rcvNxt: 1, rcvWnd: W, sndUna: 0, sndNxt: 1, maxWnd: W },
  ESTABLISHED: { rcvNxt: 1, rcvWnd: W, sndUna: 1, sndNxt: 1, maxWnd: W },
  FIN_WAIT_1: { rcvNxt: 1, rcvWnd: W, sndUna: 1, sndNxt: 2, maxWnd: W },
  FIN_WAIT_2: { rcvNxt: 1, rcvWnd: W, sndUna: 2, sndNxt: 2, maxWnd: W },
  CLOSE_WAIT: { rcvNxt: 2, rcvWnd: W, sndUna: 1, sndNxt: 1, maxWnd: W },
  CLOSING: { rcvNxt: 2, rcvWnd: W, sndUna: 1, sndNxt: 2, maxWnd: W },
  LAST_ACK: { rcvNxt: 2, rcvWnd: W, sndUna: 1, sndNxt: 2, maxWnd: W },
  TIME_WAIT: { rcvNxt: 2, rcvWnd: W, sndUna: 2, sndNxt: 2, maxWnd: W },
};

export const KINDS: readonly (readonly [name: string, flags: string, len: number])[] = [
  ['ACK', 'A', 0],
  ['data', 'PA', 10],
  ['data without ACK', 'P', 10],
  ['FIN', 'FA', 0],
  ['FIN with data', 'FPA', 10],
  ['FIN without ACK', 'F', 0],
  ['RST', 'R', 0],
  ['RST with ACK', 'RA', 0],
  ['RST with data', 'RA', 10],
  ['RST with FIN', 'FRA', 0],
  ['SYN', 'S', 0],
  ['SYN with ACK', 'SA', 0],
  ['SYN with FIN', 'SFA', 0],
  ['SYN with RST', 'SRA', 0],
  ['SYN with data', 'SPA', 10],
  ['nothing', '', 0],
];

/** Where a segment of `len` numbers begins, relative to RCV.NXT. */
const PLACES: Readonly<Record<string, (len: number, wnd: number) => number>> = {
  'far left': () => -30_000,
  'left, touching': (len) => -Math.max(1, len),
  'over the left edge': (len) => -Math.floor(len / 2),
  'at the left edge': () => 0,
  inside: () => 1000,
  'at the last byte': (_len, wnd) => wnd - 1,
  'over the right edge': (len, wnd) => wnd - Math.max(1, Math.floor(len / 2)),
  'at the right edge': (_len, wnd) => wnd,
  'far right': (_len, wnd) => wnd + 100_000,
};

/** Values of the ACK field, relative to the window of what we sent. */
const ACKS: Readonly<Record<string, (v: Vars) => number>> = {
  'too old': (v) => v.sndUna - v.maxWnd - 1000,
  old: (v) => v.sndUna - 1,
  'SND.UNA': (v) => v.sndUna,
  'SND.NXT': (v) => v.sndNxt,
  'one beyond': (v) => v.sndNxt + 1,
  'far beyond': (v) => v.sndNxt + 100_000,
};

/** A kernel for each segment: it need not have room for more. */
const FEW = { 'net.alt.flows': '64', 'net.alt.udpsockets': '8' };

/** A segment of the table, and its place in it. */
export interface Try {
  readonly place: string;
  readonly seg: Segment;
}

/** The segments of this kind in a state: at each place, and where it has an ACK with each value of it. */
export function tries(state: State, flags: string, len: number): Try[] {
  const vars = VARS[state];
  const numbers = len + (flags.includes('S') ? 1 : 0) + (flags.includes('F') ? 1 : 0);
  const ack = state === 'SYN_RECEIVED' ? vars.sndNxt : vars.sndUna;
  const places = Object.entries(PLACES).map(([place, offset]): Try => {
    return { place, seg: { flags, seq: vars.rcvNxt + offset(numbers, vars.rcvWnd), ack, len } };
  });
  if (!flags.includes('A')) return places;
  const acks = Object.entries(ACKS).map(([name, of]): Try => {
    return { place: `ACK ${name}`, seg: { flags, seq: vars.rcvNxt, ack: of(vars), len } };
  });
  return [...places, ...acks];
}

/** What a connection begins with. */
interface Start {
  readonly seed?: number;
  readonly startMs?: number;
  readonly shift?: number;
}

/** A delayed ACK comes in this time, and a retransmission of our FIN does not. */
const SOON_MS = 100;

// What is composed to a check: each says what is wrong, or nothing.

type Check = (seen: Seen) => string | null;

interface Seen {
  readonly atOnce: readonly Got[];
  readonly soon: readonly Got[];
}

const flagsOf = (got: readonly Got[]): string => got.map((g) => `${g.flags} seq ${g.seq} ack ${g.ack}`).join(', ') || 'nothing';
const all =
  (...checks: Check[]): Check =>
  (seen) =>
    checks.map((check) => check(seen)).find((wrong) => wrong !== null) ?? null;
const silence =
  (when: keyof Seen): Check =>
  (seen) =>
    seen[when].length === 0 ? null : `came: ${flagsOf(seen[when])}`;
const one =
  (when: keyof Seen, flags: string, field: 'ack' | 'seq', ...values: number[]): Check =>
  (seen) => {
    const [got, ...more] = seen[when];
    const right = got !== undefined && more.length === 0 && got.flags === flags && values.includes(got[field]);
    return right ? null : `came: ${flagsOf(seen[when])}; wanted ${flags} with ${field} ${values.join(' or ')}`;
  };

/** What a reply looks like. */
function replyCheck(reply: Reply, seg: Segment, outcome: Outcome): Check {
  const end = seg.seq + seg.len + (seg.flags.includes('S') ? 1 : 0) + (seg.flags.includes('F') ? 1 : 0);
  switch (reply) {
    case 'none':
      return all(silence('atOnce'), silence('soon'));
    case 'ack':
      return all(one('atOnce', 'A', 'ack', outcome.rcvNxt, outcome.or ?? outcome.rcvNxt), silence('soon'));
    case 'ack soon':
      return all(silence('atOnce'), one('soon', 'A', 'ack', outcome.rcvNxt, outcome.or ?? outcome.rcvNxt));
    case 'rst':
      return all(one('atOnce', 'R', 'seq', seg.ack), silence('soon'));
    case 'rst ack':
      return all(one('atOnce', 'RA', 'ack', end), silence('soon'));
    case 'syn ack':
      return (seen) =>
        seen.atOnce.length === 1 && seen.atOnce[0]?.flags === 'SA' ? null : `came: ${flagsOf(seen.atOnce)}; wanted SA`;
  }
}

function stateCheck(p: Peer, start: State, wanted: readonly State[]): string | null {
  const state = observe(p, start);
  return wanted.includes(state) ? null : `the state is ${state}, not ${wanted.join(' or ')}`;
}

/** The state of a connection, where no socket tells it by what it does. */
function observe(p: Peer, start: State): State {
  if (p.so !== null) {
    const state = p.state() as State;
    return state === 'CLOSED' && start !== 'SYN_SENT' && lingers(p) ? 'TIME_WAIT' : state;
  }
  if (p.listener === null) return 'CLOSED';
  const child = soaccept(p.listener);
  if (!isErrno(child)) {
    p.so = child;
    return p.state() as State;
  }
  if (start === 'LISTEN') return 'LISTEN';
  p.send({ flags: 'A', seq: 1, ack: 1 });
  return p.recvAll().some((g) => g.flags.includes('R')) ? 'LISTEN' : 'SYN_RECEIVED';
}

/** TIME-WAIT acknowledges the peer's FIN again; a connection that is over resets. */
function lingers(p: Peer): boolean {
  p.send({ flags: 'FA', seq: 1, ack: 2 });
  return p.recvAll().every((g) => g.flags === 'A');
}

/** The line that says what is wrong, or nothing. `start`: with these initial numbers. */
export function tryOne(stack: ModuleSpec, state: State, { place, seg }: Try, start: Start = {}): string[] {
  const vars = VARS[state];
  const outcome = oracle(state, vars, seg);
  const t = new TcpHarness({ stack: () => stack, slots: 8, env: FEW, ...start });
  try {
    const p = MAKE[state](t);
    p.recvNothing();
    p.send({ flags: seg.flags, seq: seg.seq, ack: seg.ack, ...(seg.len > 0 ? { data: seg.len } : {}) });
    const atOnce = relative(p, state);
    t.sim.run(SOON_MS);
    const soon = relative(p, state);
    const wrongs = outcome.replies.map((reply) => replyCheck(reply, seg, outcome)({ atOnce, soon }));
    const wrong = wrongs.includes(null) ? null : (wrongs[0] ?? null);
    const open = atOnce.some((g) => g.flags === 'SA');
    const bad = wrong ?? (state === 'CLOSED' || open ? null : stateCheck(p, state, outcome.next));
    const what = `${seg.flags || '-'} seq ${seg.seq} len ${seg.len} ack ${seg.ack}`;
    return bad === null ? [] : [`${place} (${what}): ${bad} (${outcome.rule})`];
  } finally {
    t.close();
  }
}

/** In CLOSED and LISTEN there is no initial number of ours to count from. */
function relative(p: Peer, state: State): Got[] {
  const got = p.recvAll();
  return state === 'CLOSED' || state === 'LISTEN'
    ? got.map((g) => ({ ...g, seq: g.flags.includes('S') ? 0 : (g.seq + p.irs) | 0 }))
    : got;
}

/** How far the initial numbers lie in front of where they wrap, at most: the table's segments reach over it. */
const BEFORE = [3, 1200, 120_000] as const;
/** Initial numbers of a stack that go by in a millisecond (RFC 6528). */
const ISS_PER_MS = 250;
/** Segments of each state that a seed takes from the table. */
const SAMPLE = 8;

/**
 * A part of the table with keys, and so initial numbers, of this seed. In two of three the stack's number lies just in front of 2^31 or
 * 2^32, in two of three the peer's. The lines that say what is wrong.
 */
export function trySeed(stack: ModuleSpec, seed: number): string[] {
  const random = new SimRandom(seed, 'states');
  const before = (n: number): number => [0, 2 ** 31, 2 ** 32][n % 3]! - 1 - random.below(BEFORE[random.below(BEFORE.length)]!);
  const [iss, irs] = [before(seed), before(Math.floor(seed / 3))];
  const wrong: string[] = [];
  for (const state of STATES) {
    // Peers have 1000 or 5000 of their own.
    const shift = irs < 0 ? random.u32() : irs - (state === 'SYN_SENT' ? 5000 : 1000);
    const startMs = iss < 0 ? 0 : (((iss - firstIss(stack, state, seed)) >>> 0) + 0.5) / ISS_PER_MS;
    const table = KINDS.flatMap(([, flags, len]) => tries(state, flags, len));
    for (let i = 0; i < SAMPLE; i++) {
      const one = table[random.below(table.length)]!;
      wrong.push(...tryOne(stack, state, one, { seed, startMs, shift }).map((line) => `${state}: ${line}`));
    }
  }
  return wrong;
}

/** The stack's initial number of the connection that is tried, with its clock at 0. */
function firstIss(stack: ModuleSpec, state: State, seed: number): number {
  const t = new TcpHarness({ stack: () => stack, slots: 8, env: FEW, seed });
  try {
    return MAKE[state](t).irs >>> 0;
  } finally {
    t.close();
  }
}
