/** Control data of datagrams: what recvmsg(2) tells and sendmsg(2) says (ip(4)), and the least TTL that is taken (RFC 5082). */
import { expect } from 'vitest';
import { POLLIN, soaccept, sobind, soconnect, sopoll } from '../../../src/kern/socket/calls.ts';
import { MSG_PEEK, soreceivefrom, sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { SocketHandler } from '../../../src/kern/socket/handler.ts';
import { type ControlMsg, SOCK_RAW, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { sogetopt, sosetopt } from '../../../src/kern/socket/sockopt.ts';
import { Proc } from '../../../src/kern/proc/proc.ts';
import type { IpAddr } from '../../../src/wire/addr.ts';
import { addrToString, parseAddr } from '../../../src/wire/addrtext.ts';
import { ifconfig } from '../../support/ifconfig.ts';
import { type World, at, ok, pattern } from '../world.ts';
import type { Case } from './case.ts';

const IP = 0;
const IP_TOS = 3;
const IP_TTL = 4;
const IP_RECVDSTADDR = 7;
const IP_SENDSRCADDR = 7;
const IP_RECVIF = 20;
const IP_RECVTTL = 65;
const IP_MINTTL = 66;
const IP_RECVTOS = 68;
const ALL = [IP_RECVDSTADDR, IP_RECVIF, IP_RECVTTL, IP_RECVTOS];

const set = (so: Socket, name: number, value: unknown): unknown => sosetopt(so, { dir: 'set', level: IP, name, value });
function get(so: Socket, name: number): unknown {
  const sopt = { dir: 'get' as const, level: IP, name, value: null as unknown };
  return sogetopt(so, sopt) ?? sopt.value;
}
const says = (type: number, value: unknown): ControlMsg => ({ level: IP, type, value });
const source = (text: string): ControlMsg => says(IP_SENDSRCADDR, parseAddr(text));

/** The control data of the next datagram, by type; addresses as text. */
function told(w: World, so: Socket, flags = 0): Record<number, unknown> {
  w.until(() => (sopoll(so) & POLLIN) !== 0);
  const { control = [] } = ok(soreceivefrom(so, new Uint8Array(2048), 0, 2048, flags));
  return words(control);
}

function words(control: readonly ControlMsg[]): Record<number, unknown> {
  const out: Record<number, unknown> = {};
  for (const { level, type, value } of control) {
    expect(level).toBe(IP);
    out[type] = type === IP_RECVDSTADDR ? addrToString(value as IpAddr) : value;
  }
  return out;
}

const send = (so: Socket, to: string, control: readonly ControlMsg[] | null = null, n = 10): unknown =>
  sosendto(so, pattern(n), 0, n, at(to, 7), control);

export const controlCases: readonly Case[] = [
  {
    name: 'control: who asks is told of a datagram’s destination, interface, TTL and type of service',
    run(w) {
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      for (const name of ALL) {
        expect(get(server, name)).toBe(0);
        expect(set(server, name, 1)).toBeNull();
        expect(get(server, name)).toBe(1);
      }
      expect(set(client, IP_TTL, 17)).toBeNull();
      expect(set(client, IP_TOS, 0x2e)).toBeNull();
      expect(send(client, '10.0.0.2')).toBeNull();
      const { ifp } = w.b;
      const all = {
        [IP_RECVDSTADDR]: '10.0.0.2',
        [IP_RECVIF]: { name: ifp.name(), index: ifp.index },
        [IP_RECVTTL]: 17,
        [IP_RECVTOS]: 0x2e,
      };
      // Looking is not taking.
      expect(told(w, server, MSG_PEEK)).toEqual(all);
      expect(told(w, server)).toEqual(all);
    },
  },
  {
    name: 'control: only what was asked for, of each datagram its own; nothing without asking, or after taking it back',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      send(client, '10.0.0.2');
      expect(told(w, server)).toEqual({});
      expect(set(server, IP_RECVTTL, true)).toBeNull();
      for (const ttl of [3, 200, 1]) {
        expect(set(client, IP_TTL, ttl)).toBeNull();
        send(client, '10.0.0.2');
      }
      for (const ttl of [3, 200, 1]) expect(told(w, server)).toEqual({ [IP_RECVTTL]: ttl });
      expect(set(server, IP_RECVTTL, 0)).toBeNull();
      send(client, '10.0.0.2');
      expect(told(w, server)).toEqual({});
      for (const bad of [2, -1, 'on', null]) expect(set(server, IP_RECVTTL, bad), String(bad)).toBe('EINVAL');
    },
  },
  {
    name: 'control: a handler that takes datagrams as they come is told too',
    run(w) {
      const server = w.b.udp(7);
      const seen: (Record<number, unknown> | null)[] = [];
      server.handler = new (class extends SocketHandler {
        override datagram(
          _so: Socket,
          _from: unknown,
          _b: Uint8Array,
          _o: number,
          _n: number,
          control: readonly ControlMsg[] | null,
        ) {
          seen.push(control === null ? null : words(control));
          return true;
        }
      })();
      send(w.a.udp(1000), '10.0.0.2');
      w.until(() => seen.length === 1);
      expect(set(server, IP_RECVDSTADDR, 1)).toBeNull();
      send(w.a.udp(1001), '10.0.0.2');
      w.until(() => seen.length === 2);
      expect(seen).toEqual([null, { [IP_RECVDSTADDR]: '10.0.0.2' }]);
    },
  },
  {
    name: 'control: a broadcast’s destination is the broadcast address',
    run(w) {
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      expect(set(server, IP_RECVDSTADDR, 1)).toBeNull();
      expect(sosetopt(client, { dir: 'set', level: 0xffff, name: 0x20, value: 1 })).toBeNull();
      expect(send(client, '10.0.0.255')).toBeNull();
      expect(told(w, server)).toEqual({ [IP_RECVDSTADDR]: '10.0.0.255' });
    },
  },
  {
    name: 'control: a server with two addresses answers from the one that was asked (IP_SENDSRCADDR)',
    run(w) {
      ifconfig(w.b.kernel, w.b.ifp, '10.0.0.3/24');
      const server = w.b.udp(7);
      expect(set(server, IP_RECVDSTADDR, 1)).toBeNull();
      for (const address of ['10.0.0.3', '10.0.0.2']) {
        const client = w.a.udp(7);
        send(client, address);
        const asked = told(w, server)[IP_RECVDSTADDR];
        expect(asked).toBe(address);
        expect(send(server, '10.0.0.1', [source(address)])).toBeNull();
        expect(w.datagram(client).from).toBe(`${address}:7`);
        client.methods.detach(client);
      }
    },
  },
  {
    name: 'control: one send chooses its TTL and type of service, the next has the socket’s again',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      expect(set(server, IP_RECVTTL, 1)).toBeNull();
      expect(set(server, IP_RECVTOS, 1)).toBeNull();
      expect(set(client, IP_TOS, 0x10)).toBeNull();
      expect(send(client, '10.0.0.2', [says(IP_TTL, 5), says(IP_TOS, 0x2e)])).toBeNull();
      expect(send(client, '10.0.0.2')).toBeNull();
      expect(send(client, '10.0.0.2', [says(IP_TOS, 0)])).toBeNull();
      expect(told(w, server)).toEqual({ [IP_RECVTTL]: 5, [IP_RECVTOS]: 0x2e });
      expect(told(w, server)).toEqual({ [IP_RECVTTL]: 64, [IP_RECVTOS]: 0x10 });
      expect(told(w, server)).toEqual({ [IP_RECVTTL]: 64, [IP_RECVTOS]: 0 });
    },
  },
  {
    name: 'control: what cannot be said is an error, and nothing is sent',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      expect(send(client, '10.0.0.2', [source('10.0.0.77')])).toBe('EADDRNOTAVAIL');
      // RFC 1122 §3.2.1.3: 127/8 is never seen on a wire.
      expect(send(client, '10.0.0.2', [source('127.0.0.1')])).toBe('EADDRNOTAVAIL');
      for (const bad of [
        says(IP_TTL, 0),
        says(IP_TTL, 256),
        says(IP_TOS, '1'),
        says(IP_SENDSRCADDR, 'nonsense'),
        says(99, 1),
        { level: 6, type: 1, value: 1 },
      ])
        expect(send(client, '10.0.0.2', [bad]), JSON.stringify(bad)).toBe('EINVAL');
      const bound = w.a.socket(2);
      expect(bound.methods.bind(bound, at('10.0.0.1', 9))).toBeNull();
      expect(send(bound, '10.0.0.2', [source('10.0.0.1')])).toBe('EINVAL');
      w.run(500);
      expect(soreceivefrom(server, new Uint8Array(9), 0, 9, 0)).toBe('EAGAIN');
      const stream = w.a.socket(SOCK_STREAM);
      expect(send(stream, '10.0.0.2', [says(IP_TTL, 5)])).not.toBeNull();
    },
  },
  {
    name: 'control: fragments come together with what their header said',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      expect(set(server, IP_RECVTTL, 1)).toBeNull();
      expect(set(server, IP_RECVTOS, 1)).toBeNull();
      expect(send(client, '10.0.0.2', [says(IP_TTL, 9), says(IP_TOS, 8)], 5000)).toBeNull();
      expect(told(w, server)).toEqual({ [IP_RECVTTL]: 9, [IP_RECVTOS]: 8 });
    },
  },
  {
    name: 'control: raw sockets are told as well',
    run(w) {
      w.warm();
      const raw = w.b.socket(SOCK_RAW, 1);
      for (const name of [IP_RECVTTL, IP_RECVDSTADDR]) expect(set(raw, name, 1)).toBeNull();
      // Nobody is on that port of a's: it answers b with an error.
      const asker = w.b.udp(5);
      expect(send(asker, '10.0.0.1')).toBeNull();
      expect(told(w, raw)).toEqual({ [IP_RECVDSTADDR]: '10.0.0.2', [IP_RECVTTL]: 64 });
    },
  },
  {
    name: 'control: packets that came further than IP_MINTTL allows are not taken (RFC 5082)',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      expect(get(server, IP_MINTTL)).toBe(0);
      expect(set(server, IP_MINTTL, 255)).toBeNull();
      expect(get(server, IP_MINTTL)).toBe(255);
      expect(set(server, IP_MINTTL, 256)).toBe('EINVAL');
      send(client, '10.0.0.2', [says(IP_TTL, 254)], 1);
      send(client, '10.0.0.2', [says(IP_TTL, 255)], 2);
      send(client, '10.0.0.2', null, 3);
      expect(w.datagram(server).bytes.length).toBe(2);
      w.run(100);
      expect(soreceivefrom(server, new Uint8Array(9), 0, 9, 0)).toBe('EAGAIN');
      expect(w.b.kernel.counters.get('udp', 'minttl')).toBe(2);
      expect(set(server, IP_MINTTL, 0)).toBeNull();
      send(client, '10.0.0.2', [says(IP_TTL, 1)], 4);
      expect(w.datagram(server).bytes.length).toBe(4);
    },
  },
  {
    name: 'control: a stream socket has its own TTL and type of service, accepted ones their listener’s; IP_MINTTL holds for all of them',
    run(w) {
      w.warm();
      const listener = w.b.listener(80);
      for (const [name, value] of [
        [IP_MINTTL, 200],
        [IP_TTL, 33],
        [IP_TOS, 0x28],
      ] as const) {
        expect(set(listener, name, value)).toBeNull();
        expect(get(listener, name)).toBe(value);
      }
      expect([set(listener, IP_MINTTL, 256), set(listener, IP_MINTTL, -1)]).toEqual(['EINVAL', 'EINVAL']);
      const client = w.a.tcp();
      expect(set(client, IP_TTL, 199)).toBeNull();
      expect(soconnect(client, at('10.0.0.2', 80))).toBe('EINPROGRESS');
      w.run(500);
      expect([soaccept(listener), w.b.kernel.counters.get('tcp', 'minttl')]).toEqual(['EAGAIN', 1]);
      // The SYN that is sent again comes from nearer.
      expect(set(client, IP_TTL, 200)).toBeNull();
      const server = w.accept(listener);
      expect([IP_MINTTL, IP_TTL, IP_TOS].map((name) => get(server, name))).toEqual([200, 33, 0x28]);
      // What the client asks of the server’s segments: no more than they have.
      expect(set(client, IP_MINTTL, 33)).toBeNull();
      w.transfer(server, client, pattern(3000));
      expect(set(client, IP_MINTTL, 34)).toBeNull();
      w.sendAll(server, pattern(10));
      w.run(100);
      expect(sopoll(client) & POLLIN).toBe(0);
      expect(w.a.kernel.counters.get('tcp', 'minttl')).toBeGreaterThan(0);
      expect(set(client, IP_MINTTL, 0)).toBeNull();
      expect(w.receive(client, 10)).toEqual(pattern(10));
    },
  },
  {
    name: 'control: what is bound to the loopback reaches this host only (RFC 1122 §3.2.1.3)',
    run(w) {
      w.warm();
      for (const [type, own] of [
        [2, 7001],
        [SOCK_STREAM, 7002],
      ] as const) {
        const so = w.a.socket(type);
        expect(sobind(so, at('127.0.0.1', own))).toBeNull();
        const before = w.b.kernel.counters.get('ip', 'total');
        const reach = (to: string): unknown => (type === 2 ? send(so, to) : soconnect(so, at(to, 7)));
        expect(reach('10.0.0.2')).toBe('EADDRNOTAVAIL');
        w.run(5000);
        expect(w.b.kernel.counters.get('ip', 'total')).toBe(before);
        expect(['EINPROGRESS', null]).toContain(reach('10.0.0.1'));
      }
    },
  },
  {
    name: 'control: system calls carry it, sendmsg and recvfrom',
    async run(w) {
      w.warm();
      const server = new Proc(w.b.kernel);
      const fd = ok(server.socket(2, 2 | 0x20000000, 0));
      expect(server.bind(fd, at('0.0.0.0', 7))).toBeNull();
      expect(server.setsockopt(fd, IP, IP_RECVTTL, 1)).toBeNull();
      const client = new Proc(w.a.kernel);
      const from = ok(client.socket(2, 2 | 0x20000000, 0));
      const msg = { name: at('10.0.0.2', 7), bytes: pattern(4) };
      expect(await client.sendmsg(from, { ...msg, control: [says(IP_TTL, 44)] })).toBe(4);
      expect(await client.sendmsg(from, { ...msg, control: [says(IP_TTL, 444)] })).toBe('EINVAL');
      expect(await client.sendmsg(from, { ...msg, control: 'no' as never })).toBe('EFAULT');
      expect(await client.sendmsg(from, { ...msg, control: [{ level: 'x', type: 1, value: 1 } as never] })).toBe('EINVAL');
      expect(await client.sendmsg(from, null as never)).toBe('EFAULT');
      expect(await client.sendmsg(from, msg)).toBe(4);
      w.run(100);
      const buf = new Uint8Array(10);
      expect(await server.recvfrom(fd, buf)).toMatchObject({ n: 4, control: [says(IP_RECVTTL, 44)] });
      expect(await server.recvfrom(fd, buf)).toMatchObject({ n: 4, control: [says(IP_RECVTTL, 64)] });
    },
  },
];
