/** setsockopt and getsockopt of a script: `[N]`, a string, `{onoff=1, linger=0}`, `{tv_sec=1, tv_usec=0}`. */
import { type Errno, isErrno } from '../kern/errno.ts';
import type { Proc } from '../kern/proc/proc.ts';
import { SOL_SOCKET, SO_ERROR, SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO } from '../kern/socket/soconst.ts';
import type { Args } from './args.ts';
import type { Arg } from './ast.ts';
import type { Outcome } from './calls.ts';
import { errnoName } from './constants.ts';

function isTime(level: number, name: number): boolean {
  return level === SOL_SOCKET && (name === SO_RCVTIMEO || name === SO_SNDTIMEO);
}

/** Two numbers of a structure, by name or by place. */
function two(args: Args, arg: Arg, a: string, b: string): [number, number] {
  const { expr } = arg;
  const first = args.field(arg, a) ?? (expr.kind === 'list' ? expr.items[0] : null);
  const second = args.field(arg, b) ?? (expr.kind === 'list' ? expr.items[1] : null);
  if (first === null || first === undefined || second === null || second === undefined)
    return args.fail(`the value is {${a}=N, ${b}=N}`, arg);
  return [args.number(first, a), args.number(second, b)];
}

/** `[{...}]` is `{...}`. */
function inner(arg: Arg): Arg {
  const { expr } = arg;
  const only = expr.kind === 'list' && expr.items.length === 1 ? expr.items[0] : undefined;
  return only === undefined || (only.expr.kind !== 'list' && only.expr.kind !== 'struct') ? arg : only;
}

function valueOf(args: Args, level: number, name: number): unknown {
  const arg = inner(args.get(3));
  const { expr } = arg;
  if (isTime(level, name)) {
    const [sec, usec] = two(args, arg, 'tv_sec', 'tv_usec');
    return sec * 1000 + usec / 1000;
  }
  if (level === SOL_SOCKET && name === SO_LINGER) {
    const [onoff, linger] = two(args, arg, 'onoff', 'linger');
    return { onoff, linger };
  }
  if (expr.kind === 'string') return expr.value;
  const [first] = expr.kind === 'list' ? expr.items : [arg];
  if (first === undefined) return args.fail('the value is missing', arg);
  return first.expr.kind === 'string' ? first.expr.value : args.number(first, 'the value');
}

export function setsockopt(proc: Proc, fd: number, args: Args): Errno | null {
  args.count(5);
  const level = args.int(1, 'the level');
  const name = args.int(2, 'the option');
  return proc.setsockopt(fd, level, name, valueOf(args, level, name));
}

/** What is wrong with the value is in the outcome. */
export function getsockopt(proc: Proc, fd: number, args: Args): Outcome {
  args.count(5);
  const level = args.int(1, 'the level');
  const name = args.int(2, 'the option');
  const got = proc.getsockopt(fd, level, name);
  if (isErrno(got)) return { ret: got, wrong: null };
  const arg = inner(args.get(3));
  const [first] = arg.expr.kind === 'list' ? arg.expr.items : [arg];
  if (first === undefined || first.expr.kind === 'any') return { ret: 0, wrong: null };
  const came = JSON.stringify(got.value);
  const is = (same: boolean): Outcome => ({ ret: 0, wrong: same ? null : `the value is ${came}` });
  if (level === SOL_SOCKET && name === SO_ERROR) {
    const word = first.expr.kind === 'words' ? (first.expr.words[0] ?? '') : '';
    return is(first.expr.kind === 'number' ? first.expr.value === 0 && got.value === null : errnoName(word) === got.value);
  }
  const wanted = valueOf(args, level, name);
  return is(JSON.stringify(wanted) === came);
}
