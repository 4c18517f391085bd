/** The local domain, with no stack loaded. */
import { sorcvlimits, sosndlimits } from '../../../src/kern/socket/sobuf.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  POLLHUP,
  POLLIN,
  POLLOUT,
  soabort,
  soaccept,
  sobind,
  soclose,
  soconnect,
  soconnect2,
  solisten,
  sopeeraddr,
  sopoll,
  soshutdown,
  sosockaddr,
} from '../../../src/kern/socket/calls.ts';
import { soreceive, soreceivefrom, sosend, sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, type SockAddr } from '../../../src/kern/socket/protosw.ts';
import { SO_LINGER } from '../../../src/kern/socket/soconst.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { type Bench, bench, bytes, local, localSocket, ok, pattern, text, watch } from './support.ts';

function pair(b: Bench, type = SOCK_STREAM): [Socket, Socket] {
  const ends: [Socket, Socket] = [localSocket(b, type), localSocket(b, type)];
  expect(soconnect2(...ends)).toBeNull();
  return ends;
}

function server(b: Bench, path = 'srv', type = SOCK_STREAM): Socket {
  const head = localSocket(b, type);
  expect(sobind(head, local(path))).toBeNull();
  expect(solisten(head, 5)).toBeNull();
  return head;
}

function recv(so: Socket, n = 100): string | number {
  const dst = new Uint8Array(n);
  const got = soreceive(so, dst, 0, n, 0);
  return typeof got === 'string' ? got : got === 0 ? 0 : text(dst.subarray(0, got));
}

describe('names', () => {
  it('are bound once, and free again with their socket', () => {
    const b = bench();
    const [a, c] = [localSocket(b), localSocket(b)];
    expect(sobind(a, local(''))).toBe('EINVAL');
    expect(sobind(a, local('x'.repeat(104)))).toBe('ENAMETOOLONG');
    expect(sobind(a, { kind: 'inet' } as unknown as SockAddr)).toBe('EAFNOSUPPORT');
    expect(sobind(a, local('n'))).toBeNull();
    expect(sobind(a, local('m'))).toBe('EINVAL');
    expect(sobind(c, local('n'))).toBe('EADDRINUSE');
    expect(sosockaddr(a)).toEqual(local('n'));
    expect(sosockaddr(c)).toEqual(local(''));
    soclose(a);
    expect(sobind(c, local('n'))).toBeNull();
  });

  it('of two kernels have nothing to do with each other', () => {
    const [one, two] = [bench(), bench()];
    server(one);
    expect(soconnect(localSocket(two), local('srv'))).toBe('ENOENT');
  });
});

describe('connecting', () => {
  it('says what is wrong', () => {
    const b = bench();
    const so = localSocket(b);
    expect(soconnect(so, local('nobody'))).toBe('ENOENT');
    expect(soconnect(so, local(''))).toBe('EINVAL');
    const bound = localSocket(b);
    sobind(bound, local('deaf'));
    expect(soconnect(so, local('deaf'))).toBe('ECONNREFUSED');
    server(b);
    expect(soconnect(localSocket(b, SOCK_DGRAM), local('srv'))).toBe('EPROTOTYPE');
    expect(solisten(localSocket(b), 5)).toBe('EDESTADDRREQ');
    expect(solisten(localSocket(b, SOCK_DGRAM), 5)).toBe('EOPNOTSUPP');
    expect(soconnect(so, local('srv'))).toBeNull();
    expect(soconnect(so, local('srv'))).toBe('EISCONN');
  });

  it('a full queue refuses', () => {
    const b = bench();
    const head = server(b);
    solisten(head, 1);
    const results = [1, 2, 3].map(() => soconnect(localSocket(b), local('srv')));
    expect(results).toEqual([null, null, 'ECONNREFUSED']);
    expect(b.kernel.domains.counters.listenoverflow).toBe(1);
  });

  it('both ends know each other', () => {
    const b = bench();
    const head = server(b);
    const client = localSocket(b);
    sobind(client, local('cli'));
    const seen = watch(client);
    soconnect(client, local('srv'));
    expect(seen.log).toEqual(['connected']);
    const so = ok(soaccept(head));
    expect([sosockaddr(so), sopeeraddr(so)]).toEqual([local('srv'), local('cli')]);
    expect([sosockaddr(client), sopeeraddr(client)]).toEqual([local('cli'), local('srv')]);
  });

  it('what is sent before the accept is not lost', () => {
    const b = bench();
    const head = server(b);
    const client = localSocket(b);
    soconnect(client, local('srv'));
    sosend(client, bytes('early'), 0, 5);
    b.world.run(1);
    expect(recv(ok(soaccept(head)))).toBe('early');
  });

  it('a closed listener resets who waits', () => {
    const b = bench();
    const head = server(b);
    const client = localSocket(b);
    soconnect(client, local('srv'));
    soclose(head);
    expect(recv(client)).toBe('ECONNRESET');
    expect(soconnect(localSocket(b), local('srv'))).toBe('ENOENT');
  });
});

describe('streams', () => {
  it('carry bytes both ways, to a reader or to a handler', () => {
    const b = bench();
    const [x, y] = pair(b);
    const seen = watch(y);
    sosend(x, bytes('one'), 0, 3);
    b.world.run(1);
    expect(recv(y)).toBe('one');
    seen.take = (len) => len;
    seen.inside = (so) => void sosend(so, bytes('echo'), 0, 4);
    sosend(x, bytes('two'), 0, 3);
    b.world.run(1);
    expect(text(seen.got)).toBe('two');
    expect(recv(x)).toBe('echo');
  });

  it('a reader that does not read holds its writer', () => {
    const b = bench();
    const [x, y] = pair(b);
    const seen = watch(x);
    let sent = 0;
    for (;;) {
      const n = sosend(x, pattern(10000, sent), 0, 10000);
      if (n === 'EAGAIN') break;
      sent += ok(n);
      b.world.run(1);
    }
    // Both buffers, but for less than the low-water mark.
    expect(sent).toBe(130000);
    expect(sopoll(x) & POLLOUT).toBe(0);
    seen.log.length = 0;
    const got: number[] = [];
    const dst = new Uint8Array(5000);
    for (let n = soreceive(y, dst, 0, 5000, 0); n !== 'EAGAIN'; n = soreceive(y, dst, 0, 5000, 0)) {
      got.push(...dst.subarray(0, ok(n)));
      b.world.run(1);
    }
    expect(got.length).toBe(sent);
    expect(seen.log).toEqual(['writable']);
    expect(sopoll(x) & POLLOUT).toBe(POLLOUT);
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('half close: the end comes behind the last byte, the other direction stays open', () => {
    const b = bench();
    const [x, y] = pair(b);
    sosend(x, bytes('bye'), 0, 3);
    soshutdown(x, 'wr');
    b.world.run(1);
    expect(sosend(x, bytes('a'), 0, 1)).toBe('EPIPE');
    expect([recv(y), recv(y)]).toEqual(['bye', 0]);
    sosend(y, bytes('answer'), 0, 6);
    b.world.run(1);
    expect(recv(x)).toBe('answer');
  });

  it('closing delivers what was sent, then ends both', () => {
    const b = bench();
    const [x, y] = pair(b);
    const seen = watch(y);
    sorcvlimits(y, 1000, y.rcv.lowat);
    sosend(x, pattern(3000), 0, 3000);
    soclose(x);
    b.world.run(1);
    expect(seen.log).not.toContain('closed');
    expect(sosend(y, bytes('a'), 0, 1)).toBe('EPIPE');
    let total = 0;
    const dst = new Uint8Array(800);
    for (let n = soreceive(y, dst, 0, 800, 0); n !== 0; n = soreceive(y, dst, 0, 800, 0)) {
      if (n !== 'EAGAIN') total += ok(n);
      b.world.run(1);
    }
    expect(total).toBe(3000);
    expect(seen.log.at(-1)).toBe('closed');
    expect(sopoll(y)).toBe(POLLIN | POLLHUP | 0x4000);
    soclose(y);
    b.world.run(1);
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('both may close with bytes under way', () => {
    const b = bench();
    const [x, y] = pair(b);
    sorcvlimits(x, 10, 1);
    sorcvlimits(y, 10, 1);
    sosend(x, pattern(3000), 0, 3000);
    sosend(y, pattern(3000), 0, 3000);
    b.world.run(1);
    soclose(x);
    soclose(y);
    b.world.run(1);
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('a linger of 0 is a reset, and so is an abort', () => {
    for (const end of [
      (so: Socket) => {
        so.options |= SO_LINGER;
        soclose(so);
      },
      soabort,
    ]) {
      const b = bench();
      const [x, y] = pair(b);
      sosend(x, bytes('lost'), 0, 4);
      end(x);
      b.world.run(1);
      expect(recv(y)).toBe('ECONNRESET');
      expect(recv(y)).toBe(0);
      expect(sosend(y, bytes('a'), 0, 1)).toBe('EPIPE');
    }
  });

  it('a reader that shuts reading does not hold its writer', () => {
    const b = bench();
    const [x, y] = pair(b);
    soshutdown(y, 'rd');
    for (let i = 0; i < 10; i++) {
      expect(sosend(x, pattern(60000), 0, 60000)).toBe(60000);
      b.world.run(1);
    }
    expect(b.kernel.domains.counters.rcvshutbytes).toBe(600000);
  });

  it('two handlers that answer each other without end do not hold the host', () => {
    const b = bench();
    const [x, y] = pair(b);
    let rounds = 0;
    for (const so of [x, y]) {
      const seen = watch(so);
      seen.take = (len) => len;
      seen.inside = (s) => {
        if (++rounds < 5000) sosend(s, bytes('p'), 0, 1);
      };
    }
    sosend(x, bytes('p'), 0, 1);
    let turns = 0;
    b.world.after(0, () => void turns++);
    b.world.run(1);
    expect(turns).toBe(1);
    expect(rounds).toBe(5000);
  });

  it('any pattern of sends and reads gives the same bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 9000 })), { maxLength: 60 }), (steps) => {
        const b = bench();
        const [x, y] = pair(b);
        sosndlimits(x, 5000, x.snd.lowat);
        sorcvlimits(y, 3000, y.rcv.lowat);
        const sent: number[] = [];
        const got: number[] = [];
        const dst = new Uint8Array(9000);
        const take = (n: number): void => {
          const r = soreceive(y, dst, 0, n, 0);
          if (typeof r === 'number') got.push(...dst.subarray(0, r));
          b.world.run(1);
        };
        for (const [send, n] of steps) {
          if (!send) {
            take(n);
            continue;
          }
          const r = sosend(x, pattern(n, sent.length), 0, n);
          if (typeof r === 'number') sent.push(...pattern(r, sent.length));
          b.world.run(1);
        }
        for (let i = 0; i < 10; i++) take(9000);
        expect(got).toEqual(sent);
        expect(b.kernel.bufpool.used).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});

describe('datagrams', () => {
  it('go by name and say whose they are', () => {
    const b = bench();
    const [x, y] = [localSocket(b, SOCK_DGRAM), localSocket(b, SOCK_DGRAM)];
    sobind(x, local('x'));
    sobind(y, local('y'));
    const dst = new Uint8Array(9);
    expect(sosendto(x, bytes('hi'), 0, 2, local('nobody'))).toBe('ENOENT');
    expect(sosendto(x, bytes('hi'), 0, 2, local('y'))).toBeNull();
    expect(soreceivefrom(y, dst, 0, 9, 0)).toMatchObject({ n: 2, from: local('x') });
    expect(sosendto(y, bytes('yo'), 0, 2, null)).toBe('EDESTADDRREQ');
    expect(soconnect(y, local('x'))).toBeNull();
    expect(sosendto(y, bytes('yo'), 0, 2, local('x'))).toBe('EISCONN');
    expect(sosend(y, bytes('yo'), 0, 2)).toBe(2);
    expect(soreceivefrom(x, dst, 0, 9, 0)).toMatchObject({ n: 2, from: local('y') });
  });

  it('a full receiver is ENOBUFS, a receiver that went ECONNRESET, one that shut reading EPIPE', () => {
    const b = bench();
    const [x, y] = pair(b, SOCK_DGRAM);
    let n = 0;
    while (sosend(x, pattern(9000), 0, 9000) === 9000) n++;
    expect(n).toBe(7);
    expect(sosend(x, pattern(9000), 0, 9000)).toBe('ENOBUFS');
    expect(b.kernel.domains.counters.dgramdropped).toBe(2);
    expect(sosend(x, pattern(70000), 0, 70000)).toBe('EMSGSIZE');
    soshutdown(y, 'rd');
    expect(sosend(x, bytes('a'), 0, 1)).toBe('EPIPE');
    soclose(y);
    expect(sosend(x, bytes('a'), 0, 1)).toBe('ECONNRESET');
    expect(sosend(x, bytes('a'), 0, 1)).toBe('ENOTCONN');
  });

  it('reach a handler, which may answer', () => {
    const b = bench();
    const [x, y] = pair(b, SOCK_DGRAM);
    const seen = watch(y);
    seen.take = (len) => len;
    seen.inside = (so) => void sosend(so, bytes('pong'), 0, 4);
    for (let i = 0; i < 20; i++) sosend(x, bytes('ping'), 0, 4);
    b.world.run(1);
    expect(seen.got).toHaveLength(80);
    expect(recv(x)).toBe('pong');
    expect(b.kernel.bufpool.used).toBeGreaterThan(0);
    for (let i = 0; i < 19; i++) recv(x);
    b.world.run(1);
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('a connected one can connect elsewhere', () => {
    const b = bench();
    const [x, y, z] = [localSocket(b, SOCK_DGRAM), localSocket(b, SOCK_DGRAM), localSocket(b, SOCK_DGRAM)];
    sobind(y, local('y'));
    sobind(z, local('z'));
    soconnect(x, local('y'));
    soconnect(x, local('z'));
    sosend(x, bytes('a'), 0, 1);
    expect([recv(y), recv(z)]).toEqual(['EAGAIN', 'a']);
  });
});

describe('sequenced packets', () => {
  it('keep their bounds, and a slow reader holds the writer', () => {
    const b = bench();
    const head = server(b, 'seq', SOCK_SEQPACKET);
    const client = localSocket(b, SOCK_SEQPACKET);
    expect(sosendto(client, bytes('a'), 0, 1, null)).toBe('ENOTCONN');
    soconnect(client, local('seq'));
    const so = ok(soaccept(head));
    const seen = watch(client);
    let n = 0;
    for (; sosend(client, pattern(5000, n), 0, 5000) === 5000; n++) b.world.run(1);
    expect(n).toBe(24);
    expect(sosend(client, pattern(70000), 0, 70000)).toBe('EMSGSIZE');
    const dst = new Uint8Array(9000);
    for (let i = 0; i < n; i++) {
      expect(soreceivefrom(so, dst, 0, 9000, 0)).toMatchObject({ n: 5000, truncated: false });
      expect(dst.subarray(0, 5000)).toEqual(pattern(5000, i));
      b.world.run(1);
    }
    expect(seen.log).toEqual(['writable']);
    soclose(client);
    b.world.run(1);
    expect(recv(so)).toBe(0);
    soclose(so);
    b.world.run(1);
    expect(b.kernel.bufpool.used).toBe(0);
  });
});

describe('without memory', () => {
  it('a message that would fit is ENOBUFS, one that never can EMSGSIZE', () => {
    const b = bench({ 'kern.ipc.maxbufbytes': '1m' });
    const [x, y] = [localSocket(b, SOCK_SEQPACKET), localSocket(b, SOCK_SEQPACKET)];
    expect(soconnect2(x, y)).toBeNull();
    while (b.kernel.bufpool.alloc(2048) !== null);
    expect(sosendto(x, pattern(100), 0, 100, null)).toBe('ENOBUFS');
    expect(sosendto(x, pattern(65536), 0, 65536, null)).toBe('EMSGSIZE');
  });
});

describe('a handler that throws', () => {
  it('does not hold other sockets up', () => {
    const b = bench();
    const pairs = [0, 1, 2].map(() => [localSocket(b), localSocket(b)] as const);
    for (const [x, y] of pairs) {
      soconnect2(x, y);
      watch(y).take = () => {
        if (y === pairs[0]?.[1]) throw new Error('boom');
        return 0;
      };
    }
    b.world.run(1);
    for (const [x] of pairs) sosend(x, bytes('abc'), 0, 3);
    expect(() => b.world.run(1)).toThrow('boom');
    b.world.run(1);
    expect(pairs.slice(1).map(([, y]) => y.rcv.cc)).toEqual([3, 3]);
  });
});
