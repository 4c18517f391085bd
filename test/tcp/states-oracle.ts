/**
 * What a TCP does with a segment, as RFC 9293 §3.10.7 has it, with RFC 5961's rules: an oracle for the table of `states-table.test.ts`. It
 * knows no connection but the few numbers that the rules need, and shares no line with the stacks. Numbers are relative, and small enough
 * that plain comparison is comparison modulo 2^32.
 */

export type State =
  | 'CLOSED'
  | 'LISTEN'
  | 'SYN_SENT'
  | 'SYN_RECEIVED'
  | 'ESTABLISHED'
  | 'FIN_WAIT_1'
  | 'FIN_WAIT_2'
  | 'CLOSE_WAIT'
  | 'CLOSING'
  | 'LAST_ACK'
  | 'TIME_WAIT';

/** What the rules look at. */
export interface Vars {
  readonly rcvNxt: number;
  readonly rcvWnd: number;
  readonly sndUna: number;
  readonly sndNxt: number;
  /** Largest window that the peer has ever offered (RFC 5961's MAX.SND.WND). */
  readonly maxWnd: number;
}

export interface Segment {
  /** Letters of FSRPA. */
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  /** Payload in bytes. */
  readonly len: number;
}

/**
 * `ack`: at once, with RCV.NXT. `ack soon`: within the delay of an ACK. `rst`: with the segment's ACK as its number. `rst ack`: with number 0
 * and an ACK of the segment. `syn ack`: our SYN with ACK.
 */
export type Reply = 'none' | 'ack' | 'ack soon' | 'rst' | 'rst ack' | 'syn ack';

export interface Outcome {
  /** Any of these. More than one where the RFC leaves it open, or a later one asks for less. */
  readonly replies: readonly Reply[];
  readonly next: readonly State[];
  /** RCV.NXT afterwards, or this other value. */
  readonly rcvNxt: number;
  readonly or?: number;
  /** The rule that decided. */
  readonly rule: string;
}

/** States in which the peer has not sent its FIN yet. */
const RECEIVING: readonly State[] = ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2'];

export function oracle(state: State, vars: Vars, seg: Segment): Outcome {
  const has = (flag: string): boolean => seg.flags.includes(flag);
  const stay = (rule: string, ...replies: Reply[]): Outcome => ({ replies, next: [state], rcvNxt: vars.rcvNxt, rule });
  if (state === 'CLOSED') {
    if (has('R')) return stay('§3.10.7.1', 'none');
    return stay('§3.10.7.1', has('A') ? 'rst' : 'rst ack');
  }
  if (state === 'LISTEN') return listen(seg, has, stay);
  if (state === 'SYN_SENT') return synSent(vars, seg, has, stay);
  return synchronised(state, vars, seg, has, stay);
}

type Has = (flag: string) => boolean;
type Stay = (rule: string, ...replies: Reply[]) => Outcome;

/** §3.10.7.2. */
function listen(seg: Segment, has: Has, stay: Stay): Outcome {
  if (has('R')) return stay('first: RST', 'none');
  if (has('A')) return stay('second: ACK', 'rst');
  if (!has('S')) return stay('fourth: other', 'none');
  // SYN with FIN: nothing forbids it, and many hosts drop it.
  const opened: Outcome = { replies: ['syn ack'], next: ['SYN_RECEIVED'], rcvNxt: seg.seq + 1, rule: 'third: SYN' };
  return has('F') ? { ...opened, replies: ['syn ack', 'none'], next: ['SYN_RECEIVED', 'LISTEN'] } : opened;
}

/** §3.10.7.3. */
function synSent(vars: Vars, seg: Segment, has: Has, stay: Stay): Outcome {
  const acceptable = has('A') && seg.ack > vars.sndUna && seg.ack <= vars.sndNxt;
  if (has('A') && !acceptable) return has('R') ? stay('first: ACK, RST', 'none') : stay('first: ACK', 'rst');
  if (has('R')) return acceptable ? { ...stay('second: RST', 'none'), next: ['CLOSED'] } : stay('second: RST', 'none');
  if (!has('S')) return stay('fifth: neither SYN nor RST', 'none');
  const rcvNxt = seg.seq + 1;
  if (!acceptable) return { replies: ['syn ack'], next: ['SYN_RECEIVED'], rcvNxt, rule: 'fourth: SYN' };
  if (has('F')) return { replies: ['ack'], next: ['CLOSE_WAIT', 'ESTABLISHED'], rcvNxt: rcvNxt + 1, rule: 'fourth: SYN, FIN' };
  return { replies: ['ack'], next: ['ESTABLISHED'], rcvNxt: rcvNxt + seg.len, rule: 'fourth: SYN, ACK; sixth: text' };
}

/** The four cases of §3.4. */
export function acceptable(vars: Vars, seq: number, len: number): boolean {
  const { rcvNxt, rcvWnd } = vars;
  const inside = (n: number): boolean => rcvNxt <= n && n < rcvNxt + rcvWnd;
  if (rcvWnd === 0) return len === 0 && seq === rcvNxt;
  return len === 0 ? inside(seq) : inside(seq) || inside(seq + len - 1);
}

/** §3.10.7.4. */
function synchronised(state: State, vars: Vars, seg: Segment, has: Has, stay: Stay): Outcome {
  const len = seg.len + (has('S') ? 1 : 0) + (has('F') ? 1 : 0);
  if (timeWait(state) && has('S') && !has('A') && !has('R') && seg.seq >= vars.rcvNxt) {
    // MAY-2, RFC 6191: it may begin a new connection.
    return { ...stay('TIME-WAIT: SYN', 'ack', 'syn ack'), next: ['TIME_WAIT', 'SYN_RECEIVED'] };
  }
  if (!acceptable(vars, seg.seq, len)) return unacceptable(state, vars, seg, has, stay, len);
  if (has('R')) {
    // RFC 1337: nothing ends TIME-WAIT.
    if (timeWait(state)) return stay('RFC 1337', 'none', 'ack');
    // Its own number must be in the window, not only the end of its text.
    if (!acceptable(vars, seg.seq, 0)) return stay('second: RST, RFC 5961 §3.2', 'none');
    if (seg.seq !== vars.rcvNxt) return stay('second: RST, RFC 5961 §3.2', 'ack');
    return { ...stay('second: RST', 'none'), next: [state === 'SYN_RECEIVED' ? 'LISTEN' : 'CLOSED'] };
  }
  // Only the peer's FIN can come again; what else it may be is answered or not.
  if (timeWait(state)) return stay('TIME-WAIT', 'none', 'ack');
  if (has('S')) {
    if (state === 'SYN_RECEIVED' && has('A') && seg.seq === vars.rcvNxt - 1) return crossed(vars, seg, has);
    if (state === 'SYN_RECEIVED')
      return { ...stay('fourth: SYN', 'none', 'ack', 'syn ack', 'rst'), next: ['LISTEN', 'SYN_RECEIVED'] };
    return stay('fourth: SYN, RFC 5961 §4.2', 'ack');
  }
  if (!has('A')) return stay('fifth: no ACK', 'none');
  return withAck(state, vars, seg, has, stay);
}

const timeWait = (state: State): boolean => state === 'TIME_WAIT';

function unacceptable(state: State, vars: Vars, seg: Segment, has: Has, stay: Stay, len: number): Outcome {
  if (has('R')) return stay('first: RST', 'none');
  // Appendix A.2: what a peer sends that has filled our window.
  const edge = seg.seq === vars.rcvNxt + vars.rcvWnd;
  if (timeWait(state) && edge) return stay('TIME-WAIT', 'none', 'ack');
  if (len === 0 && has('A') && edge) return withAck(state, vars, seg, has, stay);
  const rule = 'first: sequence number';
  // A half-open connection keeps less than a TCB (RFC 4987 §3.3): it may say again what it said, and need not answer who has no ACK.
  if (state === 'SYN_RECEIVED' && has('S') && has('A') && seg.seq === vars.rcvNxt - 1) return crossed(vars, seg, has);
  if (state === 'SYN_RECEIVED' && edge && has('A'))
    return { ...stay(rule, 'ack', 'syn ack'), next: ['SYN_RECEIVED', 'ESTABLISHED'] };
  if (state === 'SYN_RECEIVED') return has('A') ? stay(rule, 'ack', 'syn ack') : stay(rule, 'ack', 'syn ack', 'none');
  // Nor need a stack look twice at a segment without ACK that begins where the window ends.
  return !has('A') && edge ? stay(rule, 'ack', 'none') : stay(rule, 'ack');
}

/** Fifth: the ACK field; then text and FIN. */
function withAck(state: State, vars: Vars, seg: Segment, has: Has, stay: Stay): Outcome {
  const { sndUna, sndNxt, maxWnd } = vars;
  let now = state;
  if (state === 'SYN_RECEIVED') {
    if (!(seg.ack > sndUna && seg.ack <= sndNxt)) return stay('fifth: ACK in SYN-RECEIVED', 'rst');
    now = 'ESTABLISHED';
    if (seg.seq < vars.rcvNxt && vars.rcvNxt <= seg.seq + seg.len) return halfOpenOverlap(vars, seg, has);
  } else if (seg.ack > sndNxt || seg.ack < sndUna - maxWnd) {
    return stay('fifth: ACK, RFC 5961 §5.2', 'ack');
  }
  // Our FIN is the last that was sent, in the states that have sent one.
  const finAcked = seg.ack === sndNxt;
  if (now === 'FIN_WAIT_1' && finAcked) now = 'FIN_WAIT_2';
  if (now === 'CLOSING' && finAcked) now = 'TIME_WAIT';
  if (now === 'LAST_ACK' && finAcked) return { ...stay('fifth: ACK in LAST-ACK', 'none'), next: ['CLOSED'] };
  if (seg.len === 0 && !has('F')) {
    return { replies: ['none'], next: [now], rcvNxt: vars.rcvNxt, rule: 'fifth: ACK' };
  }
  if (!RECEIVING.includes(now)) {
    const rule = 'seventh, eighth: text and FIN behind the FIN';
    return { replies: ['none', 'ack', 'ack soon'], next: [now], rcvNxt: vars.rcvNxt, rule };
  }
  // Behind a hole: kept, and an ACK at once (RFC 5681 §4.2).
  if (seg.seq > vars.rcvNxt) return { replies: ['ack'], next: [now], rcvNxt: vars.rcvNxt, rule: 'seventh: out of order' };
  const end = seg.seq + seg.len;
  const cut = end > vars.rcvNxt + vars.rcvWnd;
  const rcvNxt = cut ? vars.rcvNxt + vars.rcvWnd : end;
  if (!has('F') || cut) return { replies: ['ack', 'ack soon'], next: [now], rcvNxt, rule: 'seventh: text' };
  const after: Partial<Record<State, State>> = { ESTABLISHED: 'CLOSE_WAIT', FIN_WAIT_1: 'CLOSING', FIN_WAIT_2: 'TIME_WAIT' };
  return { replies: ['ack'], next: [after[now] ?? now], rcvNxt: rcvNxt + 1, rule: 'eighth: FIN' };
}

/** Text that begins in front of the window, for a half-open connection: taken, or only answered. */
function halfOpenOverlap(vars: Vars, seg: Segment, has: Has): Outcome {
  const rcvNxt = seg.seq + seg.len + (has('F') ? 1 : 0);
  const after: State = has('F') ? 'CLOSE_WAIT' : 'ESTABLISHED';
  return {
    replies: ['ack', 'ack soon'],
    next: [after, 'SYN_RECEIVED'],
    rcvNxt,
    or: vars.rcvNxt,
    rule: 'SYN-RECEIVED: text over the edge',
  };
}

/** Our peer's SYN once more, now with an ACK: what a simultaneous open looks like, and it may be taken as one. */
function crossed(vars: Vars, seg: Segment, has: Has): Outcome {
  const rcvNxt = vars.rcvNxt + seg.len + (has('F') ? 1 : 0);
  const replies: Reply[] = ['none', 'ack', 'syn ack'];
  const next: State[] = ['SYN_RECEIVED', 'ESTABLISHED', 'CLOSE_WAIT'];
  return { replies, next, rcvNxt, or: vars.rcvNxt, rule: 'SYN-RECEIVED: figure 8' };
}
