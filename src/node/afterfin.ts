/** What a write does on a socket whose peer has ended, and which therefore ends too: EPIPE rather than misuse, as in Node. */
import { Duplex } from 'node:stream';
import { SysError } from './errors.ts';
import type { Done } from './writer.ts';

/** For the event 'end'. */
export function endOfPeer(this: Duplex): void {
  if (!this.allowHalfOpen) this.write = writeAfterFin;
}

function writeAfterFin(this: Duplex, ...args: unknown[]): boolean {
  if (!this.writableEnded) return Duplex.prototype.write.apply(this, args as Parameters<Duplex['write']>);
  const err = new SysError('EPIPE', 'write');
  const callback = args.find((a) => typeof a === 'function') as Done | undefined;
  if (callback !== undefined) process.nextTick(callback, err);
  this.destroy(err);
  return false;
}
