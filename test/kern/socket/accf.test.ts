/** Accept filters over the local domain and over a protocol that the test plays. */
import { describe, expect, it } from 'vitest';
import { soaccept, sobind, soclose, soconnect, solisten, soshutdown } from '../../../src/kern/socket/calls.ts';
import { soreceive, sosend } from '../../../src/kern/socket/sendrecv.ts';
import { SOL_SOCKET, SO_ACCEPTFILTER, sosetopt } from '../../../src/kern/socket/sockopt.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { soisconnected, soisdisconnected, sonewconn, sorcv, soseterror } from '../../../src/kern/socket/upcalls.ts';
import { type Bench, bench, bytes, fakeSocket, local, localSocket, ok, pattern, text, watch } from './support.ts';

const setFilter = (so: Socket, value: unknown): unknown =>
  sosetopt(so, { dir: 'set', level: SOL_SOCKET, name: SO_ACCEPTFILTER, value });

/** A listener with a filter in the local domain, and a client that is connected to it. */
function held(b: Bench, name: string): { head: Socket; client: Socket } {
  const head = localSocket(b);
  sobind(head, local('srv'));
  solisten(head, 10);
  expect(setFilter(head, { name })).toBeNull();
  const client = localSocket(b);
  expect(soconnect(client, local('srv'))).toBeNull();
  return { head, client };
}

/** Sends one byte at a time; answers after how many bytes the connection could be accepted, -1 for never. */
function dribble(b: Bench, name: string, data: Uint8Array): number {
  const { head, client } = held(b, name);
  let after = -1;
  for (let i = 0; i < data.length && after < 0; i++) {
    expect(soaccept(head)).toBe('EAGAIN');
    sosend(client, data, i, 1);
    b.world.run(1);
    const so = soaccept(head);
    if (typeof so === 'string') continue;
    after = i + 1;
    const dst = new Uint8Array(70000);
    expect(soreceive(so, dst, 0, dst.length, 0)).toBe(after);
    expect(dst.subarray(0, after)).toEqual(data.subarray(0, after));
    soclose(so);
  }
  soclose(client);
  soclose(head);
  b.world.run(1);
  return after;
}

describe('each filter, byte by byte', () => {
  it('dataready: the first byte', () => {
    const b = bench();
    expect(dribble(b, 'dataready', bytes('hello'))).toBe(1);
    expect(b.kernel.domains.counters).toMatchObject({ accfready: 1, accfforced: 0 });
  });

  it('httpready: the whole head of GET and HEAD', () => {
    const b = bench();
    for (const head of [
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      'HEAD /x HTTP/1.0\r\n\r\n',
      'GET / HTTP/1.0\n\n',
      'GET /a%20b?c HTTP/1.1\nA: \r\n\r\n',
      'GET / HTTP/1.1\r\nA: b\rc\r\n \r\n\r\n',
    ]) {
      expect([head, dribble(b, 'httpready', bytes(head + 'body'))]).toEqual([head, head.length]);
    }
  });

  it('httpready: lets everything else through as soon as it shows', () => {
    const b = bench();
    for (const [data, after] of [
      ['POST / HTTP/1.1\r\n', 1],
      ['GETX', 4],
      ['HELLO', 3],
      ['GET /\r\nmore', 7],
      ['GET / HTTP/2.0\r\nA', 16],
      ['GET / HTTP/1.7\r\nA', 16],
      ['GET /HTTP/1.1\r\nA', 15],
      ['\r\n', 1],
    ] as const) {
      expect([data, dribble(b, 'httpready', bytes(data))]).toEqual([data, after]);
    }
  });

  it('httpready: without parsehttpversion the version does not matter', () => {
    const b = bench({ 'net.inet.accf.http.parsehttpversion': '0' });
    const head = 'GET /\r\nA: b\r\n\r\n';
    expect(dribble(b, 'httpready', bytes(head + 'x'))).toBe(head.length);
    b.kernel.sysctl.write('net.inet.accf.http.parsehttpversion', true);
    expect(dribble(b, 'httpready', bytes(head))).toBe(7);
  });

  it('dnsready: length and message', () => {
    const b = bench();
    expect(dribble(b, 'dnsready', Uint8Array.of(0, 5, 1, 2, 3, 4, 5, 6))).toBe(7);
    expect(dribble(b, 'dnsready', Uint8Array.of(1, 4, ...pattern(300)))).toBe(2 + 260);
    expect(dribble(b, 'dnsready', Uint8Array.of(0, 0, 9))).toBe(2);
  });

  it('tlsready: one whole handshake record, or anything that is none', () => {
    const b = bench();
    expect(dribble(b, 'tlsready', Uint8Array.of(22, 3, 1, 1, 0, ...pattern(300)))).toBe(5 + 256);
    expect(dribble(b, 'tlsready', bytes('GET / HTTP/1.1'))).toBe(1);
    expect(dribble(b, 'tlsready', Uint8Array.of(22, 3, 1, 0x40, 1, 0))).toBe(5);
    expect(dribble(b, 'tlsready', Uint8Array.of(22, 3, 1, 0, 9, 1))).toBe(-1);
  });
});

describe('held connections', () => {
  it('all in one piece is as good', () => {
    const b = bench();
    const { head, client } = held(b, 'httpready');
    const seen = watch(head);
    const request = bytes('GET / HTTP/1.1\r\n\r\n');
    sosend(client, request, 0, request.length);
    b.world.run(1);
    expect(seen.log).toEqual(['accept']);
    const so = ok(soaccept(head));
    const dst = new Uint8Array(100);
    expect(text(dst.subarray(0, ok(soreceive(so, dst, 0, 100, 0))))).toBe('GET / HTTP/1.1\r\n\r\n');
  });

  it('come through when they end, fail, or fill the buffer', () => {
    const b = bench();
    const { head, client } = held(b, 'httpready');
    sosend(client, bytes('GET '), 0, 4);
    soshutdown(client, 'wr');
    b.world.run(1);
    ok(soaccept(head));

    const hog = localSocket(b);
    soconnect(hog, local('srv'));
    const endless = new Uint8Array(200000).fill(65);
    endless.set(bytes('GET /'));
    sosend(hog, endless, 0, endless.length);
    b.world.run(1);
    ok(soaccept(head));
    expect(b.kernel.domains.counters.accfforced).toBe(2);

    const listener = fakeSocket(b);
    solisten(listener, 5);
    setFilter(listener, { name: 'dataready' });
    const failing = sonewconn(listener)!;
    soisconnected(failing);
    expect(soaccept(listener)).toBe('EAGAIN');
    soseterror(failing, 'ECONNRESET');
    expect(soaccept(listener)).toBe(failing);
  });

  it('that are reset while held are forgotten', () => {
    const b = bench();
    const head = fakeSocket(b);
    solisten(head, 5);
    setFilter(head, { name: 'dataready' });
    const so = sonewconn(head)!;
    soisconnected(so);
    soisdisconnected(so);
    expect(soaccept(head)).toBe('EAGAIN');
    expect(head.listen?.incqlen()).toBe(0);
  });

  it('are few: idle ones are dropped, oldest first', () => {
    const b = bench();
    const head = fakeSocket(b);
    solisten(head, 10);
    setFilter(head, { name: 'dataready' });
    const all = Array.from({ length: 100 }, () => {
      const so = sonewconn(head)!;
      soisconnected(so);
      return so;
    });
    expect(head.listen?.incqlen()).toBe(10);
    expect(b.kernel.domains.counters.incompdropped).toBe(90);
    sorcv(all[0]!, bytes('x'), 0, 1);
    sorcv(all[95]!, bytes('x'), 0, 1);
    expect(soaccept(head)).toBe(all[95]);
    expect(soaccept(head)).toBe('EAGAIN');
  });

  it('come through when the filter is taken away', () => {
    const b = bench();
    const { head } = held(b, 'dataready');
    expect(soaccept(head)).toBe('EAGAIN');
    setFilter(head, null);
    ok(soaccept(head));
  });

  it('are reset with their listener', () => {
    const b = bench();
    const { head, client } = held(b, 'dataready');
    const seen = watch(client);
    soclose(head);
    expect(seen.log).toContain('closed:ECONNRESET');
  });
});

describe('AcceptFilters', () => {
  it('takes filters by name, once', () => {
    const { kernel } = bench();
    const filter = { name: 'mine', ready: () => true };
    const undo = kernel.accfilters.add(filter);
    expect(kernel.accfilters.add({ ...filter })).toBe('EEXIST');
    expect(kernel.accfilters.add({ ...filter, name: '' })).toBe('EINVAL');
    expect(kernel.accfilters.names()).toEqual(['dataready', 'dnsready', 'httpready', 'mine', 'tlsready']);
    if (typeof undo !== 'string') undo();
    expect(kernel.accfilters.find('mine')).toBeNull();
  });

  it('a filter may refuse its argument', () => {
    const b = bench();
    b.kernel.accfilters.add({ name: 'picky', create: (arg) => (arg === 'yes' ? { arg } : 'ERANGE'), ready: () => true });
    const head = fakeSocket(b);
    solisten(head, 1);
    expect(setFilter(head, { name: 'picky', arg: 'no' })).toBe('EINVAL');
    expect(setFilter(head, { name: 'picky', arg: 'yes' })).toBeNull();
  });
});
