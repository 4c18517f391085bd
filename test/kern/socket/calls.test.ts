/** States and errors of sockets over a protocol that the test plays. */
import { sorcvbuf, sorcvlimits, sosndlimits } from '../../../src/kern/socket/sobuf.ts';
import { describe, expect, it } from 'vitest';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  soabort,
  sobind,
  soclose,
  soconnect,
  socreate,
  sosetopt,
  solisten,
  sosockaddr,
  soioctl,
  sopeeraddr,
  sopoll,
  soshutdown,
  sotakeerror,
} from '../../../src/kern/socket/calls.ts';
import {
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  sodeliver,
  soreceive,
  soreceivefrom,
  sosend,
  sosendoob,
  sosendto,
} from '../../../src/kern/socket/sendrecv.ts';
import { AF_INET, AF_LOCAL, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { FIONBIO, FIONREAD, FIONSPACE, FIONWRITE, SIOCATMARK } from '../../../src/kern/socket/soioctl.ts';
import { SOL_SOCKET, SO_KEEPALIVE, SO_TIMESTAMP } from '../../../src/kern/socket/soconst.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import {
  socantrcvmore,
  socantsendmore,
  soisconnected,
  soisdisconnected,
  sooobmark,
  sorcv,
  sorcvcommit,
  sorcvdgram,
  sorcvspace,
  soseterror,
  sosnddrop,
} from '../../../src/kern/socket/upcalls.ts';
import { AF_FAKE, type Bench, bench, bytes, fakeSocket, local, pattern, text, watch } from './support.ts';

const anywhere = local('x');

function connected(b: Bench): Socket {
  const so = fakeSocket(b);
  expect(soconnect(so, anywhere)).toBe('EINPROGRESS');
  soisconnected(so);
  b.fake.calls.length = 0;
  return so;
}

function recv(so: Socket, n = 100, flags = 0): string | number {
  const dst = new Uint8Array(n);
  const got = soreceive(so, dst, 0, n, flags);
  return typeof got === 'string' ? got : got === 0 ? 0 : text(dst.subarray(0, got));
}

describe('socreate', () => {
  it('finds family, type and protocol, or says what is wrong', () => {
    const { kernel } = bench();
    const make = (family: number, type: number, protocol: number): unknown => {
      const so = socreate(kernel, family, type, protocol, null);
      return typeof so === 'string' ? so : so.proto.name;
    };
    expect(make(AF_INET, SOCK_STREAM, 0)).toBe('EAFNOSUPPORT');
    expect(make(AF_FAKE, SOCK_STREAM, 0)).toBe('fstream');
    expect(make(AF_FAKE, SOCK_DGRAM, 17)).toBe('fdgram');
    expect(make(AF_FAKE, 5, 0)).toBe('EPROTOTYPE');
    expect(make(AF_FAKE, SOCK_DGRAM, 6)).toBe('EPROTOTYPE');
    expect(make(AF_FAKE, SOCK_STREAM, 99)).toBe('EPROTONOSUPPORT');
    expect(make(AF_FAKE, SOCK_RAW, 89)).toBe('fraw');
    expect(make(AF_LOCAL, SOCK_STREAM, 0)).toBe('local stream');
  });

  it('hands on the refusal of attach', () => {
    const b = bench();
    b.fake.refuse = 'ENOBUFS';
    expect(socreate(b.kernel, AF_FAKE, SOCK_STREAM, 0, null)).toBe('ENOBUFS');
  });

  it('refuses families after start-up, and says who tried', () => {
    const b = bench();
    expect(b.kernel.domains.add({ family: 99, name: 'late', protosw: [] })).toBe('EPERM');
    expect(b.world.lines.some((l) => JSON.stringify(l.fields).includes('late'))).toBe(true);
  });
});

describe('connecting', () => {
  it('EINPROGRESS, EALREADY, then EISCONN', () => {
    const b = bench();
    const so = fakeSocket(b);
    const seen = watch(so);
    expect(soconnect(so, anywhere)).toBe('EINPROGRESS');
    expect(soconnect(so, anywhere)).toBe('EALREADY');
    expect(sosend(so, bytes('a'), 0, 1)).toBe('EAGAIN');
    expect(sopoll(so) & POLLOUT).toBe(0);
    expect(sopeeraddr(so)).toBe('ENOTCONN');
    soisconnected(so);
    expect(seen.log).toEqual(['connected']);
    expect(soconnect(so, anywhere)).toBe('EISCONN');
    expect(sopoll(so)).toBe(POLLOUT);
  });

  it('a refusal is reported once', () => {
    const b = bench();
    const so = fakeSocket(b);
    soconnect(so, anywhere);
    const seen = watch(so);
    soseterror(so, 'ECONNREFUSED');
    soisdisconnected(so);
    expect(seen.log).toEqual(['readable', 'writable', 'closed:ECONNREFUSED']);
    expect(sopoll(so) & (POLLIN | POLLERR)).toBe(POLLIN | POLLERR);
    expect(recv(so)).toBe('ECONNREFUSED');
    expect(recv(so)).toBe(0);
    expect(sosend(so, bytes('a'), 0, 1)).toBe('EPIPE');
  });

  it('ENOTCONN before there is a connection', () => {
    const b = bench();
    const so = fakeSocket(b);
    expect(sosend(so, bytes('a'), 0, 1)).toBe('ENOTCONN');
    expect(recv(so)).toBe('ENOTCONN');
    expect(soshutdown(so, 'wr')).toBe('ENOTCONN');
    expect(b.fake.calls).toEqual(['attach']);
  });
});

describe('sending on a stream', () => {
  it('takes what has room, then EAGAIN until the low-water mark', () => {
    const b = bench();
    const so = connected(b);
    const seen = watch(so);
    sosndlimits(so, 10000, so.snd.lowat);
    expect(sosend(so, pattern(9000), 0, 9000)).toBe(9000);
    expect(sosend(so, pattern(500), 0, 500)).toBe(500);
    expect(sosend(so, pattern(600), 0, 600)).toBe('EAGAIN');
    expect(sosend(so, pattern(400), 0, 400)).toBe(400);
    expect(sopoll(so) & POLLOUT).toBe(0);
    sosnddrop(so, 1947);
    expect(seen.log).toEqual([]);
    sosnddrop(so, 1);
    expect(seen.log).toEqual(['writable']);
    sosnddrop(so, 1000);
    expect(seen.log).toEqual(['writable']);
    expect(sosend(so, pattern(9000), 0, 9000)).toBe(3048);
  });

  it('the pool at its limit: takes what its buffer still holds, and wakes the writer later', () => {
    const b = bench({ 'kern.ipc.maxbufbytes': '1048576' });
    const hog = connected(b);
    sosndlimits(hog, 2 ** 20, hog.snd.lowat);
    expect(sosend(hog, new Uint8Array(2 ** 19), 0, 2 ** 19)).toBe(2 ** 19);
    const so = connected(b);
    const seen = watch(so);
    sosndlimits(so, 2 ** 19, so.snd.lowat);
    sosend(so, pattern(200000), 0, 200000);
    expect(sosend(so, pattern(200000), 0, 200000)).toBe(2 ** 18 - 200000);
    expect(sosend(so, pattern(2000), 0, 2000)).toBe('EAGAIN');
    expect(b.kernel.domains.counters.nobufs).toBe(2);
    sosnddrop(so, 10);
    expect(seen.log).toEqual(['writable']);
    const last = connected(b);
    sosndlimits(last, 2 ** 20, last.snd.lowat);
    expect(sosend(last, new Uint8Array(2 ** 19), 0, 2 ** 19)).toBe('ENOBUFS');
  });

  it('EPIPE after shutdown, whose failure undoes it', () => {
    const b = bench();
    const so = connected(b);
    b.fake.refuse = 'EOPNOTSUPP';
    expect(soshutdown(so, 'wr')).toBe('EOPNOTSUPP');
    expect(sosend(so, bytes('ab'), 0, 2)).toBe(2);
    b.fake.refuse = null;
    expect(soshutdown(so, 'wr')).toBeNull();
    expect(sosend(so, bytes('ab'), 0, 2)).toBe('EPIPE');
    expect(b.fake.calls).toEqual(['shutdown', 'send 2', 'shutdown']);
    sorcv(so, bytes('still'), 0, 5);
    expect(recv(so)).toBe('still');
  });

  it('tells the writer when the protocol ends sending', () => {
    const so = connected(bench());
    const seen = watch(so);
    socantsendmore(so);
    socantsendmore(so);
    expect(seen.log).toEqual(['writable']);
  });

  it('urgent data goes its own way', () => {
    const b = bench();
    expect(sosendoob(fakeSocket(b), bytes('!'), 0, 1)).toBe('ENOTCONN');
    expect(sosendoob(connected(b), bytes('!'), 0, 1)).toBe('EOPNOTSUPP');
  });
});

describe('receiving on a stream', () => {
  it('bytes, then the error, then the end', () => {
    const so = connected(bench());
    const seen = watch(so);
    sorcv(so, bytes('xhellox'), 1, 5);
    soseterror(so, 'ECONNRESET');
    socantrcvmore(so);
    expect(seen.log).toEqual(['data:5', 'readable', 'readable', 'writable', 'readable']);
    expect(recv(so, 3)).toBe('hel');
    expect(recv(so, 100, MSG_PEEK)).toBe('lo');
    expect(recv(so)).toBe('lo');
    expect(recv(so, 100, MSG_PEEK)).toBe('ECONNRESET');
    expect(recv(so)).toBe('ECONNRESET');
    expect(recv(so)).toBe(0);
  });

  it('tells the protocol what was read, but not of a peek', () => {
    const b = bench();
    const so = connected(b);
    sorcv(so, bytes('hello'), 0, 5);
    recv(so, 2, MSG_PEEK);
    recv(so, 2);
    expect(b.fake.calls).toEqual(['rcvd']);
    expect(recv(so, 0)).toBe(0);
  });

  it('the handler takes bytes where they are; what it leaves is kept, and later bytes come behind it', () => {
    const b = bench();
    const so = connected(b);
    const seen = watch(so);
    seen.take = () => 3;
    sorcv(so, bytes('hello'), 0, 5);
    sorcv(so, bytes('world'), 0, 5);
    expect(text(seen.got)).toBe('hel');
    expect(seen.log).toEqual(['data:5', 'readable', 'readable']);
    expect(recv(so)).toBe('loworld');
    seen.take = (len) => len;
    sorcv(so, bytes('again'), 0, 5);
    expect(text(seen.got)).toBe('helagain');
    expect(so.rcv.cc).toBe(0);
    b.world.run(1);
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('a handler that claims nonsense is held to what it was given', () => {
    const so = connected(bench());
    const seen = watch(so);
    seen.take = () => 99;
    sorcv(so, bytes('abc'), 0, 3);
    seen.take = () => -5;
    sorcv(so, bytes('def'), 0, 3);
    expect(recv(so)).toBe('def');
  });

  it('what was placed early is offered in place once it is in order', () => {
    const so = connected(bench());
    const seen = watch(so);
    seen.take = (len) => len;
    expect(sorcvbuf(so).place(5, bytes('world'), 0, 5)).toBe(true);
    sorcv(so, bytes('hello'), 0, 5);
    sorcvcommit(so, 5);
    expect(text(seen.got)).toBe('helloworld');
    expect(so.rcv.buffer()).toBeNull();
    seen.take = () => 0;
    sorcvbuf(so).place(3, bytes('def'), 0, 3);
    sorcv(so, bytes('abc'), 0, 3);
    sorcvcommit(so, 3);
    expect(recv(so)).toBe('abcdef');
  });

  it('readable waits for the low-water mark', () => {
    const so = connected(bench());
    const seen = watch(so);
    sorcvlimits(so, so.rcv.hiwat, 4);
    sorcv(so, bytes('abc'), 0, 3);
    expect(sopoll(so) & POLLIN).toBe(0);
    expect(seen.log).toEqual(['data:3']);
    sorcv(so, bytes('d'), 0, 1);
    expect(sopoll(so) & POLLIN).toBe(POLLIN);
    expect(seen.log).toEqual(['data:3', 'readable']);
  });

  it('is safe when the handler closes, aborts or shuts the socket inside', () => {
    for (const end of [
      (so: Socket) => void soclose(so),
      soabort,
      (so: Socket) => void soshutdown(so, 'rd'),
      (so: Socket) => soisdisconnected(so),
    ]) {
      const b = bench();
      const so = connected(b);
      const seen = watch(so);
      seen.take = () => 2;
      seen.inside = end;
      sorcvbuf(so).place(5, bytes('world'), 0, 5);
      sorcv(so, bytes('hello'), 0, 5);
      sorcvcommit(so, 5);
      soclose(so);
      soisdisconnected(so);
      b.world.run(1);
      expect(text(seen.got)).toBe('he');
      expect(b.kernel.bufpool.used).toBe(0);
      expect(b.fake.calls.filter((c) => c === 'detach')).toHaveLength(1);
    }
  });

  it('is safe when the handler ends it while early bytes are handed over', () => {
    const b = bench();
    const so = connected(b);
    const seen = watch(so);
    sorcvbuf(so).place(0, bytes('hello'), 0, 5);
    seen.take = () => 1;
    seen.inside = (s) => void soclose(s);
    sorcvcommit(so, 5);
    soisdisconnected(so);
    b.world.run(1);
    expect(text(seen.got)).toBe('h');
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('another handler may take over inside', () => {
    const so = connected(bench());
    const first = watch(so);
    first.take = () => 1;
    first.inside = (s) => void watch(s);
    sorcv(so, bytes('abc'), 0, 3);
    expect(first.log).toEqual(['data:3']);
    expect(recv(so)).toBe('bc');
  });

  it('shut for reading: what is there is thrown away, what comes is counted', () => {
    const b = bench();
    const so = connected(b);
    sorcv(so, bytes('abc'), 0, 3);
    expect(soshutdown(so, 'rd')).toBeNull();
    expect(b.fake.calls).toEqual(['rcvd']);
    expect(recv(so)).toBe(0);
    sorcvbuf(so).place(3, bytes('ghi'), 0, 3);
    sorcv(so, bytes('def'), 0, 3);
    sorcvcommit(so, 3);
    expect(recv(so)).toBe(0);
    expect(b.kernel.domains.counters.rcvshutbytes).toBe(6);
    expect(sorcvspace(so)).toBe(so.rcv.hiwat);
    expect(so.rcv.buffer()).toBeNull();
    expect(sosend(so, bytes('a'), 0, 1)).toBe(1);
  });

  it('acknowledged bytes that nothing can hold end the connection, loudly', () => {
    const b = bench({ 'kern.ipc.maxbufbytes': '1048576' });
    const hog = connected(b);
    sosndlimits(hog, 2 ** 20, hog.snd.lowat);
    sosend(hog, new Uint8Array(2 ** 20), 0, 2 ** 20);
    const so = connected(b);
    sorcvlimits(so, 2 ** 20, so.rcv.lowat);
    expect(sorcvspace(so)).toBe(0);
    sorcv(so, pattern(2 ** 18), 0, 2 ** 18);
    expect(so.rcv.cc).toBe(2 ** 18);
    const other = connected(b);
    const seen = watch(other);
    sorcv(other, pattern(100), 0, 100);
    expect(seen.log).toContain('closed');
    expect(b.kernel.domains.counters.nobufsaborted).toBe(1);
  });

  it('sodeliver offers again what waits', () => {
    const b = bench();
    const so = connected(b);
    sorcv(so, bytes('hello'), 0, 5);
    const seen = watch(so);
    seen.take = () => 2;
    sodeliver(so);
    expect(text(seen.got)).toBe('he');
    expect(seen.log).toEqual(['data:5', 'readable']);
    seen.take = (len) => len;
    socantrcvmore(so);
    sodeliver(so);
    expect(text(seen.got)).toBe('hello');
    expect(seen.log.at(-1)).toBe('readable');
    expect(recv(so)).toBe(0);
  });

  it('reads stop at the urgent mark', () => {
    const so = connected(bench());
    const mark = { value: -1 };
    sorcv(so, bytes('abcdef'), 0, 6);
    sooobmark(so, 2);
    expect(sopoll(so) & POLLPRI).toBe(POLLPRI);
    expect(recv(so)).toBe('ab');
    expect(soioctl(so, SIOCATMARK, mark)).toBeNull();
    expect(mark.value).toBe(1);
    expect(recv(so, 1, MSG_OOB)).toBe('!');
    expect(recv(so)).toBe('cdef');
    soioctl(so, SIOCATMARK, mark);
    expect(mark.value).toBe(0);
  });
});

describe('messages', () => {
  it('need a destination, fit whole or not at all', () => {
    const b = bench();
    const so = fakeSocket(b, SOCK_DGRAM);
    expect(sosendto(so, bytes('a'), 0, 1, null)).toBe('EDESTADDRREQ');
    expect(sosendto(so, bytes('a'), 0, 1, anywhere)).toBeNull();
    sosndlimits(so, 100, so.snd.lowat);
    expect(sosendto(so, pattern(101), 0, 101, anywhere)).toBe('EMSGSIZE');
    expect(b.fake.calls).toEqual(['attach', 'sendto 1']);
  });

  it('are read with their sender; the rest of a long one is lost, and that is told', () => {
    const so = fakeSocket(bench(), SOCK_DGRAM);
    const dst = new Uint8Array(3);
    sorcvdgram(so, local('a'), bytes('hello'), 0, 5);
    sorcvdgram(so, local('b'), bytes('yo'), 0, 2);
    expect(soreceivefrom(so, dst, 0, 3, MSG_PEEK)).toMatchObject({ n: 3, truncated: true, from: local('a') });
    expect(soreceivefrom(so, dst, 0, 3, MSG_TRUNC)).toMatchObject({ n: 5, truncated: true });
    expect(text(dst)).toBe('hel');
    expect(soreceivefrom(so, dst, 0, 3, 0)).toMatchObject({ n: 2, truncated: false, from: local('b') });
    expect(soreceivefrom(so, dst, 0, 3, 0)).toBe('EAGAIN');
  });

  it('go to the handler first; a full buffer drops and counts', () => {
    const b = bench();
    const so = fakeSocket(b, SOCK_DGRAM);
    const seen = watch(so);
    sorcvlimits(so, 300, so.rcv.lowat);
    seen.take = (len) => len;
    expect(sorcvdgram(so, local('a'), bytes('direct'), 0, 6)).toBe(true);
    seen.take = () => 0;
    expect(sorcvdgram(so, local('a'), bytes('kept'), 0, 4)).toBe(true);
    expect(sorcvdgram(so, local('a'), pattern(200), 0, 200)).toBe(false);
    expect(seen.log).toEqual(['datagram:6', 'readable']);
    expect(b.kernel.domains.counters.dgramdropped).toBe(1);
  });

  it('an empty message is readable and no end of stream', () => {
    const so = fakeSocket(bench(), SOCK_DGRAM);
    sorcvdgram(so, local('a'), bytes(''), 0, 0);
    expect(sopoll(so) & POLLIN).toBe(POLLIN);
    expect(soreceivefrom(so, new Uint8Array(1), 0, 1, 0)).toMatchObject({ n: 0, from: local('a') });
    expect(sopoll(so) & POLLIN).toBe(0);
  });

  it('carry the time they came if asked', () => {
    const b = bench();
    const so = fakeSocket(b, SOCK_DGRAM);
    so.options |= SO_TIMESTAMP;
    b.world.run(50);
    sorcvdgram(so, local('a'), bytes('x'), 0, 1);
    b.world.run(50);
    expect(soreceivefrom(so, new Uint8Array(1), 0, 1, 0)).toMatchObject({ timestampMs: b.kernel.bootTimeMs + 50 });
  });

  it('shutdown of an unconnected one works and still says ENOTCONN', () => {
    const so = fakeSocket(bench(), SOCK_DGRAM);
    expect(soshutdown(so, 'rdwr')).toBe('ENOTCONN');
    expect(sosendto(so, bytes('a'), 0, 1, anywhere)).toBe('EPIPE');
    expect(recv(so)).toBe(0);
  });
});

describe('the end', () => {
  it('half close: the peer ends, we go on', () => {
    const so = connected(bench());
    const seen = watch(so);
    socantrcvmore(so);
    expect(seen.log).toEqual(['readable']);
    expect(sopoll(so)).toBe(POLLIN | POLLRDHUP | POLLOUT);
    expect(sosend(so, bytes('a'), 0, 1)).toBe(1);
    soshutdown(so, 'wr');
    expect(sopoll(so)).toBe(POLLIN | POLLRDHUP | POLLHUP);
  });

  it('closing is orderly: unsent bytes stay until the protocol is done, and no callback comes', () => {
    const b = bench();
    const so = connected(b);
    const seen = watch(so);
    sosend(so, pattern(3000), 0, 3000);
    sorcv(so, bytes('unread'), 0, 6);
    seen.log.length = 0;
    expect(soclose(so)).toBeNull();
    expect(b.fake.calls).toEqual(['send 3000', 'disconnect', 'detach']);
    expect(so.snd.cc).toBe(3000);
    sosnddrop(so, 1000);
    sorcv(so, bytes('late'), 0, 4);
    socantrcvmore(so);
    soseterror(so, 'ETIMEDOUT');
    soisdisconnected(so);
    expect(soclose(so)).toBeNull();
    soabort(so);
    b.world.run(1);
    expect(seen.log).toEqual([]);
    expect(b.kernel.bufpool.used).toBe(0);
    expect(b.kernel.domains.counters).toMatchObject({ created: 1, closed: 1 });
  });

  it('aborting ends at once', () => {
    const b = bench();
    const so = connected(b);
    const seen = watch(so);
    sosend(so, pattern(3000), 0, 3000);
    soabort(so);
    b.world.run(1);
    expect(b.fake.calls).toEqual(['send 3000', 'abort', 'detach']);
    expect(seen.log).toEqual([]);
    expect(b.kernel.bufpool.used).toBe(0);
  });

  it('the end is told once, and what came before can still be read', () => {
    const so = connected(bench());
    const seen = watch(so);
    sorcv(so, bytes('last'), 0, 4);
    soisdisconnected(so);
    soisdisconnected(so);
    expect(seen.log).toEqual(['data:4', 'readable', 'closed']);
    expect(recv(so)).toBe('last');
    expect(recv(so)).toBe(0);
    expect(soconnect(so, anywhere)).toBe('EINVAL');
  });

  it('a pending error is taken once', () => {
    const so = connected(bench());
    soseterror(so, 'EHOSTUNREACH');
    expect(sosend(so, bytes('a'), 0, 1)).toBe('EHOSTUNREACH');
    expect(sosend(so, bytes('a'), 0, 1)).toBe(1);
    expect(sotakeerror(so)).toBeNull();
  });
});

describe('soioctl', () => {
  it('knows what is in the buffers', () => {
    const so = connected(bench());
    const data = { value: 0 };
    sorcv(so, bytes('abc'), 0, 3);
    sosend(so, pattern(10), 0, 10);
    expect(soioctl(so, FIONREAD, data)).toBeNull();
    expect(data.value).toBe(3);
    soioctl(so, FIONWRITE, data);
    expect(data.value).toBe(10);
    soioctl(so, FIONSPACE, data);
    expect(data.value).toBe(65526);
    expect(soioctl(so, FIONREAD, null)).toBe('EINVAL');
    expect(soioctl(so, FIONBIO, { value: 1 })).toBeNull();
  });

  it('what is not generic goes to the group, or to the protocol', () => {
    const b = bench();
    const so = fakeSocket(b);
    expect(soioctl(so, 0x2000_6b01, {})).toBeNull();
    expect(b.fake.calls).toEqual(['attach', `control ${0x2000_6b01}`]);
  });

  it('bind and addresses are the protocol’s: the default is EOPNOTSUPP', () => {
    const so = fakeSocket(bench());
    expect(sobind(so, anywhere)).toBeNull();
    soisconnected(so);
    expect(sopeeraddr(so)).toBe('EOPNOTSUPP');
  });
});

describe('a protocol that has forgotten the socket', () => {
  it('is not asked any more', () => {
    const b = bench();
    const so = connected(b);
    sorcv(so, bytes('last'), 0, 4);
    so.pcb = null;
    soisdisconnected(so);
    expect(recv(so)).toBe('last');
    expect(sobind(so, anywhere)).toBe('EINVAL');
    expect(solisten(so, 1)).toBe('EINVAL');
    expect(sosockaddr(so)).toBe('EINVAL');
    expect(sopeeraddr(so)).toBe('ENOTCONN');
    expect(recv(so, 1, MSG_OOB)).toBe('EINVAL');
    expect(sosetopt(so, { dir: 'set', level: 6, name: 1, value: 1 })).toBe('EINVAL');
    expect(sosetopt(so, { dir: 'set', level: SOL_SOCKET, name: SO_KEEPALIVE, value: 1 })).toBeNull();
    expect(soioctl(so, 0x2000_6b01, {})).toBe('EINVAL');
    soclose(so);
    expect(b.fake.calls).toEqual([]);
    expect(b.fake.opts).toEqual([]);
  });
});
