/** Queues of listening sockets: limits, order, overflow, connections that die while they wait. */
import { sorcvlimits } from '../../../src/kern/socket/sobuf.ts';
import { describe, expect, it } from 'vitest';
import { POLLIN, soaccept, sobind, soclose, soconnect, solisten, sopoll, soshutdown } from '../../../src/kern/socket/calls.ts';
import { soreceive, soreceivefrom, sosend, sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { SimRandom } from '../../../src/kern/effects/sim.ts';
import { SOCK_SEQPACKET } from '../../../src/kern/socket/protosw.ts';
import {
  SOL_SOCKET,
  SO_ACCEPTCONN,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LISTENINCQLEN,
  SO_LISTENQLEN,
  SO_LISTENQLIMIT,
  sogetopt,
} from '../../../src/kern/socket/sockopt.ts';
import { FIONREAD, soioctl } from '../../../src/kern/socket/soioctl.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { soisconnected, soisdisconnected, solistenfull, sonewconn, sorcv, soseterror } from '../../../src/kern/socket/upcalls.ts';
import { type Bench, bench, bytes, fakeSocket, local, localSocket, ok, watch } from './support.ts';

function listening(b: Bench, backlog: number): Socket {
  const head = fakeSocket(b);
  expect(solisten(head, backlog)).toBeNull();
  return head;
}

function arrive(head: Socket): Socket | null {
  const so = sonewconn(head);
  if (so !== null) soisconnected(so);
  return so;
}

function same(a: readonly Socket[], b: readonly Socket[]): boolean {
  return a.length === b.length && a.every((so, i) => so === b[i]);
}

const opt = (so: Socket, name: number): unknown => {
  const sopt = { dir: 'get' as const, level: SOL_SOCKET, name, value: undefined };
  expect(sogetopt(so, sopt)).toBeNull();
  return sopt.value;
};

describe('solisten', () => {
  it('clamps the backlog to kern.ipc.soacceptqueue, and can change it', () => {
    const b = bench();
    const head = listening(b, 5);
    expect(opt(head, SO_LISTENQLIMIT)).toBe(5);
    for (const wild of [-1, 1e9]) {
      solisten(head, wild);
      expect(opt(head, SO_LISTENQLIMIT)).toBe(1024);
    }
    expect(b.kernel.sysctl.write('kern.ipc.soacceptqueue', 7)).not.toBe('EINVAL');
    solisten(head, 8);
    expect(opt(head, SO_LISTENQLIMIT)).toBe(7);
    expect(opt(head, SO_ACCEPTCONN)).toBe(1);
  });

  it('EINVAL with a connection; what the protocol refuses leaves no queue behind', () => {
    const b = bench();
    const so = fakeSocket(b);
    b.fake.refuse = 'EADDRINUSE';
    expect(solisten(so, 1)).toBe('EADDRINUSE');
    expect(soaccept(so)).toBe('EINVAL');
    expect(opt(so, SO_ACCEPTCONN)).toBe(0);
    b.fake.refuse = null;
    soconnect(so, local('x'));
    expect(solisten(so, 1)).toBe('EINVAL');
  });

  it('a listening socket does nothing else', () => {
    const head = listening(bench(), 1);
    expect(soconnect(head, local('x'))).toBe('EOPNOTSUPP');
    expect(soreceive(head, new Uint8Array(1), 0, 1, 0)).toBe('ENOTCONN');
    expect(sosend(head, bytes('a'), 0, 1)).toBe('ENOTCONN');
    expect(soioctl(head, FIONREAD, { value: 0 })).toBe('EINVAL');
  });
});

describe('accepting', () => {
  it('is in the order of arrival, with the listener’s options', () => {
    const b = bench();
    const head = fakeSocket(b);
    head.options = SO_KEEPALIVE | SO_LINGER;
    head.linger = 7;
    head.fib = 3;
    sorcvlimits(head, 4000, head.rcv.lowat);
    sorcvlimits(head, head.rcv.hiwat, 2);
    solisten(head, 200);
    const seen = watch(head);
    const children = Array.from({ length: 200 }, () => arrive(head));
    expect(seen.log).toHaveLength(200);
    expect(sopoll(head)).toBe(POLLIN);
    expect(opt(head, SO_LISTENQLEN)).toBe(200);
    for (const child of children) expect(soaccept(head)).toBe(child);
    expect(soaccept(head)).toBe('EAGAIN');
    expect(sopoll(head)).toBe(0);
    expect(children[0]).toMatchObject({ options: SO_KEEPALIVE | SO_LINGER, linger: 7, fib: 3, handler: seen });
    expect(children[0]?.rcv).toMatchObject({ hiwat: 4000, lowat: 2 });
  });

  it('keeps what comes before, and calls nobody for it', () => {
    const head = listening(bench(), 5);
    const seen = watch(head);
    const child = arrive(head)!;
    sorcv(child, bytes('early'), 0, 5);
    expect(seen.log).toEqual(['accept']);
    const so = ok(soaccept(head));
    const dst = new Uint8Array(9);
    expect(soreceive(so, dst, 0, 9, 0)).toBe(5);
    sorcv(so, bytes('late'), 0, 4);
    expect(seen.log).toEqual(['accept', 'data:4', 'readable']);
  });

  it('may happen inside the handler', () => {
    const head = listening(bench(), 5);
    const seen = watch(head);
    const got: unknown[] = [];
    seen.inside = (h) => void got.push(soaccept(h));
    const child = arrive(head);
    expect(got).toEqual([child]);
  });

  it('passes over connections that died, unless they left something to read', () => {
    const b = bench();
    const head = listening(b, 5);
    const dead = arrive(head)!;
    const spoke = arrive(head)!;
    const live = arrive(head)!;
    sorcv(spoke, bytes('bye'), 0, 3);
    soseterror(dead, 'ECONNRESET');
    soisdisconnected(dead);
    soisdisconnected(spoke);
    expect(soaccept(head)).toBe(spoke);
    expect(soaccept(head)).toBe(live);
    expect(soaccept(head)).toBe('EAGAIN');
    expect(b.kernel.domains.counters.acceptaborted).toBe(1);
  });
});

describe('limits', () => {
  it('refuses over 3/2 of the backlog, counts, and logs now and then', () => {
    const b = bench();
    const head = listening(b, 4);
    let taken = 0;
    for (let i = 0; i < 50; i++) {
      if (!solistenfull(head)) taken++;
      arrive(head);
    }
    expect(taken).toBe(7);
    expect(opt(head, SO_LISTENQLEN)).toBe(7);
    expect(b.kernel.domains.counters.listenoverflow).toBe(43);
    expect(b.world.lines).toHaveLength(1);
    b.world.run(10_001);
    b.kernel.time.refresh();
    arrive(head);
    expect(b.world.lines).toHaveLength(2);
    expect(b.world.lines[1]?.fields).toMatchObject({ queued: 7, backlog: 4, refused: 43 });
    soaccept(head);
    expect(arrive(head)).not.toBeNull();
  });

  it('keeps both queues in order while incomplete ones complete and die in any order', () => {
    const b = bench();
    const head = listening(b, 500);
    const random = new SimRandom(7);
    const incomplete: Socket[] = [];
    const complete: Socket[] = [];
    for (let step = 0; step < 3500; step++) {
      const what = random.u32() % 8;
      // In waves, so that the queue is long at times and empty at others.
      if (what < (step % 1000 < 500 ? 5 : 2)) {
        incomplete.push(sonewconn(head)!);
      } else if (what < 7 && incomplete.length > 0) {
        const [so] = incomplete.splice(random.u32() % incomplete.length, 1) as [Socket];
        if (what === 5) soisdisconnected(so);
        else {
          soisconnected(so);
          complete.push(so);
        }
      } else if (complete.length > 0) {
        expect(soaccept(head)).toBe(complete.shift());
      }
      expect([opt(head, SO_LISTENINCQLEN), opt(head, SO_LISTENQLEN)]).toEqual([incomplete.length, complete.length]);
    }
    expect(incomplete.length).toBeGreaterThan(10);
    expect(same(head.listen!.incomplete(), incomplete)).toBe(true);
    for (const so of complete) expect(soaccept(head)).toBe(so);
    solisten(head, incomplete.length);
    arrive(head);
    expect(same(head.listen!.incomplete(), incomplete.slice(1))).toBe(true);
  });

  it('drops the oldest of too many incomplete connections', () => {
    const b = bench();
    const head = listening(b, 3);
    const waiting = Array.from({ length: 5 }, () => sonewconn(head)!);
    expect(opt(head, SO_LISTENINCQLEN)).toBe(3);
    expect(b.kernel.domains.counters.incompdropped).toBe(2);
    expect(b.fake.calls.filter((c) => c === 'abort')).toHaveLength(2);
    for (const so of waiting) soisconnected(so);
    expect(opt(head, SO_LISTENQLEN)).toBe(3);
    expect(soaccept(head)).toBe(waiting[2]);
  });

  it('forgets an incomplete one that ends', () => {
    const b = bench();
    const head = listening(b, 3);
    const so = sonewconn(head)!;
    soisdisconnected(so);
    expect(opt(head, SO_LISTENINCQLEN)).toBe(0);
    expect(b.fake.calls.at(-1)).toBe('detach');
  });

  it('no connection for a protocol that refuses it, or for a closed listener', () => {
    const b = bench();
    const head = listening(b, 3);
    b.fake.refuse = 'ENOBUFS';
    expect(sonewconn(head)).toBeNull();
    b.fake.refuse = null;
    soclose(head);
    expect(sonewconn(head)).toBeNull();
  });
});

describe('the end of a listener', () => {
  it('resets everything it had not accepted', () => {
    const b = bench();
    const head = listening(b, 9);
    const [a, c] = [arrive(head)!, arrive(head)!];
    const accepted = ok(soaccept(head));
    sonewconn(head);
    sorcv(c, bytes('data'), 0, 4);
    b.fake.calls.length = 0;
    expect(soclose(head)).toBeNull();
    expect(b.fake.calls).toEqual(['abort', 'detach', 'abort', 'detach', 'detach']);
    expect(accepted).toBe(a);
    expect(sosend(a, bytes('x'), 0, 1)).toBe(1);
    soclose(a);
    soisdisconnected(a);
    b.world.run(1);
    expect(b.kernel.bufpool.used).toBe(0);
    expect(b.kernel.domains.counters.created - b.kernel.domains.counters.closed).toBe(0);
  });

  it('shutdown wakes who waits to accept', () => {
    const head = listening(bench(), 1);
    const seen = watch(head);
    expect(soshutdown(head, 'rd')).toBe('ENOTCONN');
    expect(seen.log).toEqual(['readable']);
    expect(soaccept(head)).toBe('ECONNABORTED');
    expect(soaccept(head)).toBe('EAGAIN');
  });
});

describe('a backlog of 0', () => {
  it('still takes one connection at a time', () => {
    const b = bench();
    const srv = localSocket(b);
    sobind(srv, local('s'));
    expect(solisten(srv, 0)).toBeNull();
    const [c, d] = [localSocket(b), localSocket(b)];
    expect([soconnect(c, local('s')), soconnect(d, local('s'))]).toEqual([null, 'ECONNREFUSED']);
    b.world.run(1);
    const conn = ok(soaccept(srv));
    expect(sosend(c, bytes('hi'), 0, 2)).toBe(2);
    b.world.run(1);
    expect(conn.rcv.cc).toBe(2);
    expect(soconnect(d, local('s'))).toBeNull();
  });
});

describe('a connection that ended before it was accepted', () => {
  it('is accepted for an empty message too', () => {
    const b = bench();
    const srv = localSocket(b, SOCK_SEQPACKET);
    sobind(srv, local('s'));
    solisten(srv, 5);
    const c = localSocket(b, SOCK_SEQPACKET);
    soconnect(c, local('s'));
    expect(sosendto(c, bytes(''), 0, 0, null)).toBeNull();
    soclose(c);
    b.world.run(1);
    expect(soreceivefrom(ok(soaccept(srv)), new Uint8Array(1), 0, 1, 0)).toMatchObject({ n: 0, from: local('') });
  });
});

describe('closing', () => {
  it('may be asked for again from inside: the socket goes once', () => {
    const b = bench();
    const srv = localSocket(b);
    sobind(srv, local('s'));
    solisten(srv, 5);
    const [c, d] = [localSocket(b), localSocket(b)];
    for (const so of [c, d]) soconnect(so, local('s'));
    b.world.run(1);
    const conn = ok(soaccept(srv));
    watch(c).writable = () => void soclose(conn);
    watch(d).closed = () => void soclose(srv);
    soclose(conn);
    soclose(srv);
    b.world.run(1);
    for (const so of [c, d]) soclose(so);
    b.world.run(1);
    const { created, closed } = b.kernel.domains.counters;
    expect([created, closed]).toEqual([5, 5]);
  });
});
