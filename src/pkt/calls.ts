/**
 * The system calls of a script, made by a process of the kernel (`proc/`). A call answers what it returned, or the name of its error, at
 * once or as a promise if it blocks, and says what is wrong with what it filled in.
 */
import { type Errno, type Result, isErrno } from '../kern/errno.ts';
import { MSG_OOB, MSG_PEEK, MSG_TRUNC } from '../kern/socket/sendrecv.ts';
import { MSG_FASTOPEN } from './constants.ts';
import { SOCK_DGRAM } from '../kern/socket/protosw.ts';
import type { MaybePromise } from '../kern/proc/proc.ts';
import { ipv4, sockAddr } from '../wire/addr.ts';
import type { Args } from './args.ts';
import type { Arg } from './ast.ts';
import { type Flows, patternByte } from './flow.ts';
import type { Host } from './host.ts';
import type { Settings } from './settings.ts';
import { getsockopt, setsockopt } from './sockopts.ts';

/** How a call ended. */
export interface Outcome {
  /** What it returned, or its error's name. */
  readonly ret: number | Errno;
  /** What is wrong with what it filled in. */
  readonly wrong: string | null;
}

/** A socket as the script knows it. */
interface Open {
  readonly fd: number;
  readonly stream: boolean;
  /** Positions in the streams of bytes. */
  read: number;
  written: number;
}

export interface CallContext {
  readonly host: Host;
  readonly flows: Flows;
  readonly settings: Settings;
  /** Descriptors by the numbers that the script has for them. */
  readonly fds: Map<number, Open>;
  /** The script's number of the connection that was made last. */
  last: number | null;
}

type Handler = (ctx: CallContext, args: Args) => MaybePromise<Outcome>;

const done = (ret: number | Errno, wrong: string | null = null): Outcome => ({ ret, wrong });
const ended = (err: Errno | null): Outcome => done(err ?? 0);

function then<T>(r: MaybePromise<T>, fn: (r: T) => Outcome): MaybePromise<Outcome> {
  return r instanceof Promise ? r.then(fn) : fn(r);
}

function open(ctx: CallContext, args: Args, i = 0): Open {
  const script = args.int(i, 'a descriptor');
  return ctx.fds.get(script) ?? { fd: -1, stream: true, read: 0, written: 0 };
}

/** A new descriptor gets the number that the script says it has. */
function opened(ctx: CallContext, args: Args, fd: Result<number>, stream: boolean): Outcome {
  if (isErrno(fd)) return done(fd);
  const { expr } = args.call.result;
  const script = expr.kind === 'number' && expr.value >= 0 ? expr.value : fd;
  if (ctx.fds.has(script)) args.fail(`descriptor ${script} is open already`, args.call.result);
  ctx.fds.set(script, { fd, stream, read: 0, written: 0 });
  return done(script);
}

function socket(ctx: CallContext, args: Args): Outcome {
  args.count(3);
  const family = args.isAny(0) ? 2 : args.int(0, 'the family');
  const type = args.int(1, 'the type');
  const fd = ctx.host.proc.socket(family, type, args.isAny(2) ? 0 : args.int(2, 'the protocol'));
  return opened(ctx, args, fd, (type & 0xf) !== SOCK_DGRAM);
}

function bind(ctx: CallContext, args: Args): Outcome {
  args.count(3);
  const so = open(ctx, args);
  const addr = args.addr(1, sockAddr(ipv4(ctx.settings.localIp), ctx.settings.bindPort));
  const err = ctx.host.proc.bind(so.fd, addr);
  if (err === null) ctx.flows.bound(so.stream, addr.port);
  return ended(err);
}

function listen(ctx: CallContext, args: Args): Outcome {
  args.count(2);
  return ended(ctx.host.proc.listen(open(ctx, args).fd, args.int(1, 'the backlog')));
}

function accept(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(3, 4);
  return then(ctx.host.proc.accept(open(ctx, args).fd), (fd) => {
    const outcome = opened(ctx, args, fd, true);
    if (typeof outcome.ret === 'number') ctx.last = outcome.ret;
    return outcome;
  });
}

function connect(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(3);
  const so = open(ctx, args);
  const to = args.addr(1, sockAddr(ipv4(ctx.settings.remoteIp), ctx.settings.connectPort));
  const result = ctx.host.proc.connect(so.fd, to);
  const name = ctx.host.proc.getsockname(so.fd);
  if (!isErrno(name) && name.kind === 'inet') ctx.flows.connecting(so.stream, name.port, to.port);
  ctx.last = args.int(0, 'a descriptor');
  return then(result, ended);
}

/** read, recv, recvfrom: `...` or the string that is to come, the length, flags. */
function receive(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  const flags = args.call.args.length > 3 ? args.int(3, 'the flags') : 0;
  return receiveInto(ctx, open(ctx, args), args.int(2, 'the length'), flags, args.get(1), args);
}

function receiveInto(ctx: CallContext, so: Open, len: number, flags: number, want: Arg, args: Args): MaybePromise<Outcome> {
  const buf = new Uint8Array(len);
  return then(ctx.host.proc.recvfrom(so.fd, buf, flags), (got) => {
    if (isErrno(got)) return done(got);
    const n = Math.min(got.n, len);
    if ((flags & MSG_OOB) !== 0) ctx.flows.custom = true;
    const wrong = checkReceived(ctx, so, buf.subarray(0, n), want, args);
    if (so.stream && (flags & (MSG_PEEK | MSG_OOB)) === 0) so.read += n;
    return done((flags & MSG_TRUNC) !== 0 ? got.n : n, wrong);
  });
}

function checkReceived(ctx: CallContext, so: Open, bytes: Uint8Array, want: Arg, args: Args): string | null {
  if (want.expr.kind === 'string') {
    const came = String.fromCharCode(...bytes);
    return came === want.expr.value.slice(0, bytes.length) ? null : `the bytes are ${JSON.stringify(came)}`;
  }
  if (want.expr.kind !== 'any') return args.fail('what is received is ... or a string', want);
  if (ctx.flows.custom) return null;
  const pos = so.stream ? so.read : 0;
  const at = bytes.findIndex((b, i) => b !== patternByte(pos + i));
  return at < 0 ? null : `byte ${pos + at} of the stream is not the one that was sent`;
}

/** write, send, sendto: bytes, length, flags, and an address. */
function send(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  const flags = args.call.args.length > 3 ? args.int(3, 'the flags') : 0;
  return sendFrom(ctx, args, open(ctx, args), [{ base: args.get(1), len: args.int(2, 'the length') }], flags);
}

function sendFrom(
  ctx: CallContext,
  args: Args,
  so: Open,
  parts: { base: Arg; len: number }[],
  flags: number,
): MaybePromise<Outcome> {
  const bytes = new Uint8Array(parts.reduce((sum, { len }) => sum + len, 0));
  let at = 0;
  for (const { base, len } of parts) {
    const said = args.bytes(base, len, (so.stream ? so.written : 0) + at);
    if (said.custom || (flags & MSG_OOB) !== 0) ctx.flows.custom = true;
    bytes.set(said.bytes, at);
    at += len;
  }
  const fast = (flags & MSG_FASTOPEN) !== 0;
  const named = args.call.name === 'sendto' && (!so.stream || fast || !args.isAny(4));
  const to = named ? args.addr(4, sockAddr(ipv4(ctx.settings.remoteIp), ctx.settings.connectPort)) : null;
  const connected = !isErrno(ctx.host.proc.getpeername(so.fd));
  return then(
    ctx.host.proc.sendto(so.fd, bytes, flags & ~MSG_FASTOPEN, to !== null && connected && args.isAny(4) ? null : to),
    (n) => {
      if (isErrno(n)) return done(n);
      so.written += n;
      if ((!so.stream || fast) && to !== null) {
        const name = ctx.host.proc.getsockname(so.fd);
        if (!isErrno(name) && name.kind === 'inet') ctx.flows.connecting(so.stream, name.port, to.port);
      }
      return done(n);
    },
  );
}

function readv(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(3);
  const len = args.iov(args.get(1)).reduce((sum, part) => sum + part.len, 0);
  return receiveInto(ctx, open(ctx, args), len, 0, { at: args.get(1).at, expr: { kind: 'any' } }, args);
}

function writev(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(3);
  return sendFrom(ctx, args, open(ctx, args), args.iov(args.get(1)), 0);
}

function message(args: Args): { base: Arg; len: number }[] {
  const iov =
    args.field(args.get(1), 'msg_iov') ??
    args.fail('a message is {msg_name(...)=..., msg_iov(N)=[{..., N}], msg_flags=N}', args.get(1));
  const control = args.field(args.get(1), 'msg_control');
  if (control !== null && !(control.expr.kind === 'list' && control.expr.items.length === 0)) {
    args.fail('control messages do not exist here', control);
  }
  return args.iov(iov);
}

function sendmsg(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(3);
  return sendFrom(ctx, args, open(ctx, args), message(args), args.int(2, 'the flags'));
}

function recvmsg(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(3);
  const len = message(args).reduce((sum, part) => sum + part.len, 0);
  return receiveInto(ctx, open(ctx, args), len, args.int(2, 'the flags'), { at: args.get(1).at, expr: { kind: 'any' } }, args);
}

function close(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(1);
  const so = open(ctx, args);
  ctx.fds.delete(args.int(0, 'a descriptor'));
  return then(ctx.host.proc.close(so.fd), ended);
}

function shutdown(ctx: CallContext, args: Args): Outcome {
  args.count(2);
  const how =
    (['rd', 'wr', 'rdwr'] as const)[args.int(1, 'how')] ?? args.fail('how is SHUT_RD, SHUT_WR or SHUT_RDWR', args.get(1));
  return ended(ctx.host.proc.shutdown(open(ctx, args).fd, how));
}

function fcntl(ctx: CallContext, args: Args): Outcome {
  args.count(2, 3);
  const arg = args.call.args.length > 2 ? args.int(2, 'the flags') : 0;
  return done(ctx.host.proc.fcntl(open(ctx, args).fd, args.int(1, 'the command'), arg));
}

/** `[N]`: what the request answers. */
function ioctl(ctx: CallContext, args: Args): Outcome {
  args.count(3);
  const [want] = args.items(2, 'the answer');
  const data = { value: 0 };
  const err = ctx.host.proc.ioctl(open(ctx, args).fd, args.int(1, 'the request'), data);
  if (err !== null || want === undefined || want.expr.kind === 'any') return ended(err);
  const value = args.number(want, 'the answer');
  return done(0, value === data.value ? null : `the answer is [${data.value}]`);
}

function poll(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  args.count(3);
  const wants: number[] = [];
  const fds = args.items(0, 'the descriptors').map((item) => {
    const [fd, events, revents] = ['fd', 'events', 'revents'].map((name) => args.field(item, name)) as [
      Arg | null,
      Arg | null,
      Arg | null,
    ];
    if (fd === null || events === null) return args.fail('an element is {fd=N, events=POLLIN, revents=POLLIN}', item);
    wants.push(revents === null ? 0 : args.number(revents, 'revents'));
    return { fd: ctx.fds.get(args.number(fd, 'fd'))?.fd ?? -1, events: args.number(events, 'events'), revents: 0 };
  });
  return then(ctx.host.proc.poll(fds, args.int(2, 'the timeout')), (n) => {
    if (isErrno(n)) return done(n);
    const i = fds.findIndex(({ revents }, k) => revents !== wants[k]);
    return done(n, i < 0 ? null : `revents of number ${i} is 0x${(fds[i]?.revents ?? 0).toString(16)}`);
  });
}

function nameOf(which: 'getsockname' | 'getpeername'): Handler {
  return (ctx, args) => {
    args.count(3);
    const name = ctx.host.proc[which](open(ctx, args).fd);
    return done(isErrno(name) ? name : 0);
  };
}

const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['socket', socket],
  ['bind', bind],
  ['listen', listen],
  ['accept', accept],
  ['accept4', accept],
  ['connect', connect],
  ['read', receive],
  ['recv', receive],
  ['recvfrom', receive],
  ['readv', readv],
  ['recvmsg', recvmsg],
  ['write', send],
  ['send', send],
  ['sendto', send],
  ['writev', writev],
  ['sendmsg', sendmsg],
  ['close', close],
  ['shutdown', shutdown],
  ['setsockopt', (ctx, args) => ended(setsockopt(ctx.host.proc, open(ctx, args).fd, args))],
  ['getsockopt', (ctx, args) => getsockopt(ctx.host.proc, open(ctx, args).fd, args)],
  ['fcntl', fcntl],
  ['ioctl', ioctl],
  ['poll', poll],
  ['getsockname', nameOf('getsockname')],
  ['getpeername', nameOf('getpeername')],
]);

/** A failure for a call that there is none of. */
export function checkCall(args: Args, at: number): void {
  if (HANDLERS.has(args.call.name)) return;
  args.src.fail(`there is no call ${args.call.name} here; there are ${[...HANDLERS.keys()].join(' ')}`, at);
}

export function makeCall(ctx: CallContext, args: Args): MaybePromise<Outcome> {
  const handler = HANDLERS.get(args.call.name);
  return handler === undefined ? done('ENOSYS') : handler(ctx, args);
}
