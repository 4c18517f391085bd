/** Packets to ourselves (RFC 1122 §3.2.1.3 (g)): over the loopback interface, or straight back without one. */
import { describe, expect, it } from 'vitest';
import { createLo } from '../../../src/driver/lo.ts';
import type { Ifnet } from '../../../src/kern/ifnet/ifnet.ts';
import { sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { SOCK_RAW } from '../../../src/kern/socket/protosw.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { soreceive } from '../../../src/kern/socket/sendrecv.ts';
import { bytesOf, icmp, pattern, readIp } from './frames.ts';
import { Host, type HostOptions, Notes, at, ok, receive } from './harness.ts';

function withLo(options: HostOptions = {}): Host {
  const host = new Host(options);
  const lo = ok(host.kernel.ifnets.attach('lo', 0, createLo(host.kernel.effects))) as Ifnet;
  ok(lo.setUp(true));
  host.addAddr(lo, '127.0.0.1/8');
  return host;
}

const WAYS: [string, (options?: HostOptions) => Host][] = [
  ['without lo0', (options) => new Host(options)],
  ['over lo0', withLo],
];

for (const [name, make] of WAYS) {
  describe(name, () => {
    it('a datagram to our own address arrives, and none leaves', () => {
      const host = make();
      const so = host.udp(7);
      for (const n of [0, 5, 1472, 1473, 9000, 20_000, 65_507]) {
        const bytes = pattern(n);
        ok(sosendto(host.udp(), bytes, 0, n, at('10.0.0.2', 7)));
        bytes.fill(0);
        host.run(0);
        expect(receive(so).length).toBe('10.0.0.2:12345 '.length + n);
      }
      expect(host.sent()).toEqual([]);
      expect([host.count('udp', 'badsum'), host.kernel.bufpool.used]).toEqual([0, 0]);
    });

    it('is not delivered inside the call that sends it', () => {
      const host = make();
      const so = host.udp(7);
      const notes = new Notes();
      so.handler = notes;
      ok(sosendto(host.udp(4000), bytesOf('x'), 0, 1, at('10.0.0.2', 7)));
      expect(notes.lines).toEqual([]);
      host.run(0);
      expect(notes.lines).toEqual(['10.0.0.2:4000 x']);
    });

    it('we can ping ourselves, at any size', () => {
      const host = make();
      const so = host.socket(SOCK_RAW, 1);
      for (const n of [0, 56, 1472, 20_000, 65_507]) {
        const request = icmp(8, 0, n, pattern(n));
        ok(sosendto(so, request, 0, request.length, at('10.0.0.2', 0)));
        host.run(0);
        const buf = new Uint8Array(65_536);
        const got = ok(soreceive(so, buf, 0, buf.length, 0)) as number;
        expect(Buffer.from(readIp(buf.subarray(0, got)).data).equals(icmp(0, 0, n, pattern(n)))).toBe(true);
      }
    });

    it('a closed port answers, and the answer reaches the socket', () => {
      const host = make();
      const so = host.udp(4000, at('10.0.0.2', 9));
      ok(sosendto(so, bytesOf('x'), 0, 1, null));
      host.run(0);
      expect(receive(so)).toBe('ECONNREFUSED');
    });

    it("two sockets that answer each other for ever cannot hold the host's loop", () => {
      const host = make();
      let n = 0;
      class Back extends Notes {
        override datagram(so: Socket, from: never, bytes: Uint8Array, off: number, len: number): boolean {
          n++;
          if (n < 20_000) ok(sosendto(so, bytes, off, len, from));
          return true;
        }
      }
      const a = host.udp(7);
      const b = host.udp(8);
      a.handler = b.handler = new Back();
      ok(sosendto(a, bytesOf('x'), 0, 1, at('10.0.0.2', 8)));
      host.run(1);
      expect(n).toBe(20_000);
    });
  });
}

describe('the queue without lo0', () => {
  it('is bounded, and counts what it loses', () => {
    const host = new Host();
    const so = host.udp(4000);
    for (let i = 0; i < 400; i++) ok(sosendto(so, bytesOf('x'), 0, 1, at('10.0.0.2', 7)));
    expect(host.count('ip', 'loopdropped')).toBe(144);
    host.run(0);
    expect(host.kernel.bufpool.used).toBe(0);
  });
});

describe('127.0.0.1', () => {
  it('is reached over lo0 only', () => {
    const host = withLo();
    const so = host.udp(7);
    ok(sosendto(host.udp(4000), bytesOf('x'), 0, 1, at('127.0.0.1', 7)));
    host.run(0);
    expect(receive(so)).toBe('127.0.0.1:4000 x');
    expect(sosendto(new Host().udp(), bytesOf('x'), 0, 1, at('127.0.0.1', 7))).toBe('ENETUNREACH');
  });
});
