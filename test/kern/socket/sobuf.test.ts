/** Which buffer a socket has: a shared empty one while it holds nothing, one of its own otherwise, and its limits in both. */
import { describe, expect, it } from 'vitest';
import { soclose } from '../../../src/kern/socket/calls.ts';
import { soreceive, sosend } from '../../../src/kern/socket/sendrecv.ts';
import type { Sockbuf } from '../../../src/kern/socket/sockbuf.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { sorcvbuf, sorcvlimits, sorcvrest, sosndbuf, sosndlimits, sosndrest } from '../../../src/kern/socket/sobuf.ts';
import { SOCK_DGRAM } from '../../../src/kern/socket/protosw.ts';
import { soisconnected, sorcv, sorcvcommit, sorcvdgram, sosnddrop } from '../../../src/kern/socket/upcalls.ts';
import { bench, fakeSocket, watch } from './support.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function recv(so: Socket): string {
  const dst = new Uint8Array(100);
  const n = soreceive(so, dst, 0, 100, 0);
  return typeof n === 'number' ? new TextDecoder().decode(dst.subarray(0, n)) : n;
}

describe('the buffer of a socket', () => {
  it('is one for all that are empty and have the same limits', () => {
    const b = bench();
    const [x, y] = [fakeSocket(b), fakeSocket(b)];
    expect(x.snd).toBe(y.snd);
    expect(x.rcv).toBe(y.rcv);
    expect(x.rcv).not.toBe(x.snd);
    sosndlimits(x, 4096, 100);
    expect([x.snd.hiwat, x.snd.lowat, x.snd.space()]).toEqual([4096, 100, 4096]);
    expect([y.snd.hiwat, y.snd.lowat]).toEqual([65536, 2048]);
    sosndlimits(y, 4096, 100);
    expect(x.snd).toBe(y.snd);
  });

  it('is its own while bytes wait, and another socket sees none of them', () => {
    const b = bench();
    const [x, y] = [fakeSocket(b), fakeSocket(b)];
    soisconnected(x);
    const empty = x.snd;
    expect(sosend(x, bytes('hello'), 0, 5)).toBe(5);
    expect([x.snd.cc, y.snd.cc]).toEqual([5, 0]);
    sosnddrop(x, 3);
    expect(x.snd.cc).toBe(2);
    sosnddrop(x, 2);
    expect(x.snd).toBe(empty);
    sorcv(x, bytes('abc'), 0, 3);
    expect([x.rcv.cc, y.rcv.cc]).toEqual([3, 0]);
    expect(recv(x)).toBe('abc');
    expect(x.rcv).toBe(y.rcv);
  });

  it('keeps what came early, whatever is read in front of it', () => {
    const so = fakeSocket(bench());
    soisconnected(so);
    sorcvbuf(so).place(2, bytes('cd'), 0, 2);
    sorcvrest(so);
    expect(so.rcv.placed).toBe(4);
    watch(so).take = (len) => len;
    sorcv(so, bytes('ab'), 0, 2);
    sorcvcommit(so, 2);
    expect(so.rcv.buffer()).toBeNull();
    expect(so.rcv).toBe(so.rcv.home);
  });

  it('has new limits with its bytes in it, and keeps them when it is empty again', () => {
    const so = fakeSocket(bench());
    soisconnected(so);
    sorcv(so, bytes('abc'), 0, 3);
    sorcvlimits(so, 10, 20);
    expect([so.rcv.cc, so.rcv.hiwat, so.rcv.lowat, so.rcv.space()]).toEqual([3, 10, 10, 7]);
    expect(recv(so)).toBe('abc');
    expect([so.rcv.cc, so.rcv.hiwat, so.rcv.lowat]).toEqual([0, 10, 10]);
  });

  it('goes back with the last datagram, also an empty one', () => {
    const b = bench();
    const so = fakeSocket(b, SOCK_DGRAM);
    const from = { kind: 'local', path: '' } as const;
    expect(sorcvdgram(so, from, bytes('x'), 0, 0)).toBe(true);
    expect(so.rcv.record()).not.toBeNull();
    expect(fakeSocket(b, SOCK_DGRAM).rcv.record()).toBeNull();
    expect(soreceive(so, new Uint8Array(4), 0, 4, 0)).toBe(0);
    expect(so.rcv).toBe(so.rcv.home);
  });

  it('goes back when the socket is closed with bytes in it', () => {
    const b = bench();
    const so = fakeSocket(b);
    soisconnected(so);
    sorcv(so, bytes('abc'), 0, 3);
    soclose(so);
    b.world.run(1);
    expect(so.rcv).toBe(so.rcv.home);
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('refuses bytes while it is shared', () => {
    const so = fakeSocket(bench());
    const shared = so.snd as Sockbuf;
    expect(shared.append(bytes('a'), 0, 1)).toBe(false);
    expect(shared.place(0, bytes('a'), 0, 1)).toBe(false);
    expect(shared.appendRecord(null, bytes('a'), 0, 0, false)).toBe(false);
    expect([shared.cc, shared.placed, shared.record()]).toEqual([0, 0, null]);
  });

  it('is used again by the next that needs one', () => {
    const b = bench();
    const [x, y] = [fakeSocket(b), fakeSocket(b)];
    const own = sosndbuf(x);
    sosndrest(x);
    sosndlimits(y, 999, 9);
    const next = sosndbuf(y);
    expect(next).toBe(own);
    expect([next.cc, next.hiwat, next.lowat]).toEqual([0, 999, 9]);
  });
});
