/** A kernel with a process, and promises that the test can look at without waiting. */
import { Proc } from '../../../src/kern/proc/proc.ts';
import { AF_LOCAL, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { type Bench, bench, local, ok } from '../socket/support.ts';

export interface ProcBench extends Bench {
  readonly proc: Proc;
}

export function procBench(env: Record<string, string> = {}): ProcBench {
  const b = bench(env);
  return { ...b, proc: new Proc(b.kernel, 'test') };
}

/** What a call has answered so far: `waits` while it blocks. */
export class Pending {
  answer: unknown = 'waits';
  /** Virtual time of the answer. */
  atMs = -1;
}

export function track({ world }: Bench, call: unknown): Pending {
  const pending = new Pending();
  if (!(call instanceof Promise)) throw new Error('the call did not block');
  void call.then((answer) => {
    pending.answer = answer;
    pending.atMs = world.nowMs();
  });
  return pending;
}

/** Two connected descriptors. */
export function streams({ proc }: ProcBench): [number, number] {
  return ok(proc.socketpair(AF_LOCAL, SOCK_STREAM));
}

export function server({ proc }: ProcBench, path = 'srv'): number {
  const fd = ok(proc.socket(AF_LOCAL, SOCK_STREAM));
  proc.bind(fd, local(path));
  proc.listen(fd, 5);
  return fd;
}
