/** Corners: rows that change hands, both windows closed, sequence numbers that have gone round, tables that are full. */
import { describe, expect, test } from 'vitest';
import { SimWorld } from '../../../src/kern/effects/sim.ts';
import { sobind, soclose } from '../../../src/kern/socket/calls.ts';
import { sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { SocketHandler } from '../../../src/kern/socket/handler.ts';
import { SO_BROADCAST } from '../../../src/kern/socket/soconst.ts';
import { ipv4, sockAddr } from '../../../src/wire/addr.ts';
import { PacketIn } from '../../../src/stacks/alt/alt.ts';
import { IpCounters } from '../../../src/stacks/alt/counters.ts';
import {
  DUPACKS,
  FLAGS,
  F_RECOVER,
  MSS,
  RECOVER,
  ROW_SHIFT,
  SND_MAX,
  SND_NXT,
  SND_SML,
  SND_UNA,
  STATE,
  TS_ESTABLISHED,
  field,
  setField,
} from '../../../src/stacks/alt/flows.ts';
import { createAlt } from '../../../src/stacks/alt/module.ts';
import { Reass } from '../../../src/stacks/alt/reass.ts';
import { processAck } from '../../../src/stacks/alt/tcp/ack.ts';
import { Host, ip } from './support/host.ts';
import { type Peer, Server, dgramSocket, must, pattern } from './support/sockets.ts';
import { ACK, FIN, PEER, PEER_MAC, RST, SYN, US, Wire, ipFrame, mssOpt, put16, sackOkOpt, text, tsOpt } from './support/wire.ts';

const ISN = 1000;

interface Est {
  w: Wire;
  server: Server;
  peer: Peer;
  snd: number;
  rcv: number;
}

function established(o: number[] = mssOpt(1460), env: Record<string, string> = {}, win = 65535): Est {
  const w = new Wire(env);
  const server = new Server(w.host, 80);
  w.put({ seq: ISN, flags: SYN, o, win });
  const sa = w.one();
  const more = sa.opts.hasTs ? { o: tsOpt(101, sa.opts.tsVal) } : {};
  w.put({ seq: ISN + 1, ack: (sa.seq + 1) | 0, win, ...more });
  return { w, server, peer: server.peers[0]!, snd: (sa.seq + 1) | 0, rcv: ISN + 1 };
}

const be = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];

describe('listeners', () => {
  test('a connection half open when its listener closes never goes to a listener of another port that has its row', () => {
    const w = new Wire();
    const first = new Server(w.host, 80);
    w.put({ seq: 1, flags: SYN });
    const sa = w.one();
    soclose(first.so);
    w.world.settle();
    const other = new Server(w.host, 81);
    w.put({ seq: 2, ack: (sa.seq + 1) | 0 });
    expect(other.peers.length).toBe(0);
    expect(w.one()).toMatchObject({ flags: RST, seq: (sa.seq + 1) | 0 });
    expect(w.host.taken()).toMatchObject({ flows: 1, embryonic: 0 });
  });

  test('its port is free again at once, and its half-open connections count no more', () => {
    const w = new Wire({ 'net.alt.embryonic': '4' });
    const first = new Server(w.host, 80);
    for (let k = 0; k < 3; k++) w.put({ sport: 5000 + k, seq: 1, flags: SYN });
    soclose(first.so);
    expect(w.host.taken()).toMatchObject({ embryonic: 0 });
    new Server(w.host, 80);
    w.world.settle();
    expect(w.host.taken()).toMatchObject({ flows: 1 });
  });

  test('one with a backlog of 0 leaks nothing, whatever becomes of the connection', () => {
    const w = new Wire();
    const server = new Server(w.host, 80, '0.0.0.0', 0);
    for (let k = 0; k < 5; k++) {
      w.put({ sport: 5000 + k, seq: 1, flags: SYN });
      const sa = w.one();
      w.put({ sport: 5000 + k, seq: 2, ack: (sa.seq + 1) | 0, data: text('x') });
      w.sent();
    }
    expect(w.host.count('tcp', 'accepts')).toBe(server.peers.length);
    for (const p of server.peers) {
      p.so.options |= 0x80;
      soclose(p.so);
    }
    soclose(server.so);
    w.world.run(200_000);
    expect(w.host.taken()).toMatchObject({ flows: 0, embryonic: 0 });
  });
});

describe('closed windows', () => {
  test('small window, more to send: an acknowledgment that says nothing new does not take the timer away', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv, ack: snd, win: 100 });
    peer.send(pattern(5000));
    expect(w.sent()).toEqual([]);
    w.put({ seq: rcv, ack: snd, win: 100 });
    w.world.run(3000);
    expect(w.sent()[0]).toMatchObject({ seq: snd, data: pattern(5000).subarray(0, 100) });
  });

  test("both windows closed: our window update is in the peer's window, and so is a reset", () => {
    const { w, peer, snd, rcv } = established(mssOpt(1460), { 'net.inet.tcp.recvspace': '262144' });
    peer.reading = false;
    let at = rcv;
    for (let win = 262_144; win > 0;) {
      const n = Math.min(1460, win);
      w.put({ seq: at, ack: snd, data: new Uint8Array(n), win: 0 });
      at += n;
      win = 262_144 - (at - rcv);
    }
    w.world.run(100);
    expect(w.sent().at(-1)).toMatchObject({ ack: at, win: 0 });
    peer.send(text('blocked'));
    w.world.run(300);
    expect(w.one()).toMatchObject({ seq: snd, data: text('b') });
    w.put({ seq: at, ack: snd, win: 0 });
    peer.reading = true;
    peer.drain();
    const update = w.one();
    expect(update.win).toBeGreaterThan(1000);
    expect(update).toMatchObject({ flags: ACK, seq: snd, ack: at });
    peer.so.options |= 0x80;
    soclose(peer.so);
    expect(w.one()).toMatchObject({ flags: RST | ACK, seq: snd });
  });

  test('a FIN at a closed window: the acknowledgment behind it in the same batch counts', () => {
    const { w, peer, snd, rcv } = established(mssOpt(1460), { 'net.inet.tcp.recvspace': '262144' });
    peer.reading = false;
    peer.send(text('answer'));
    w.sent();
    let at = rcv;
    for (let left = 262_144; left > 0;) {
      const n = Math.min(1460, left);
      w.put({ seq: at, ack: snd, data: new Uint8Array(n) });
      at += n;
      left = 262_144 - (at - rcv);
    }
    w.world.run(100);
    expect(w.sent().at(-1)).toMatchObject({ ack: at, win: 0 });
    w.put({ seq: at, ack: snd, flags: FIN | ACK }, { seq: at + 1, ack: snd + 6 });
    expect(peer.so.snd.cc).toBe(0);
  });
});

describe('recovery', () => {
  test('after a timeout, holes go out as the congestion window allows, and not all at once', () => {
    const off = { 'net.inet.tcp.pmtud_blackhole_detection': '0' };
    const { w, peer, snd, rcv } = established([...mssOpt(1000), ...sackOkOpt], off);
    peer.send(pattern(100_000));
    // Let the window grow to 40 segments.
    let una = 0;
    for (let k = 0; k < 30; k++) w.put({ seq: rcv, ack: (snd + (una += 1000)) | 0 });
    w.sent();
    w.world.run(3000);
    w.sent();
    // Every second segment has come; the first again is acknowledged.
    const blocks = [1, 1, 5, 26];
    for (const from of [2, 4, 6]) blocks.push(...be((snd + una + from * 1000) | 0), ...be((snd + una + (from + 1) * 1000) | 0));
    const more = [1, 1, 5, 10, ...be((snd + una + 8000) | 0), ...be((snd + una + 38_000) | 0)];
    w.put({ seq: rcv, ack: (snd + una) | 0, o: more });
    expect(w.sent()).toEqual([]);
    w.put({ seq: rcv, ack: (snd + una + 1000) | 0, o: blocks });
    expect(w.sent().length).toBeLessThanOrEqual(2);
  });

  test('without a row for SACK, three duplicate acknowledgments still mean a loss', () => {
    const { w, peer, snd, rcv } = established([...mssOpt(1000), ...sackOkOpt], { 'net.alt.ranges': '1' });
    // Another connection holds the only row.
    w.put({ sport: 4001, seq: 1, flags: SYN, o: [...mssOpt(1000), ...sackOkOpt] });
    const sa = w.one();
    w.put({ sport: 4001, seq: 2, ack: (sa.seq + 1) | 0 });
    w.put({ sport: 4001, seq: 100, ack: (sa.seq + 1) | 0, data: text('early') });
    w.sent();
    peer.send(pattern(10_000));
    expect(w.sent().length).toBe(10);
    const sack = (to: number): number[] => [1, 1, 5, 10, ...be(snd + 1000), ...be(snd + to)];
    for (let k = 2; k <= 4; k++) w.put({ seq: rcv, ack: snd, o: sack(1000 * k) });
    expect(w.sent()[0]).toMatchObject({ seq: snd });
  });

  test('two gigabytes without a loss do not switch fast retransmit off, nor make a small segment wait', () => {
    const world = new SimWorld({ seed: 1 });
    const s = createAlt(new Host(world, 'x').kernel);
    const i = s.flows.alloc();
    const o = i << ROW_SHIFT;
    const { w } = s.flows;
    w[o + STATE] = TS_ESTABLISHED;
    setField(w, o, MSS, 1000);
    s.flows.setSide(o, RECOVER, 1);
    w[o + SND_SML] = w[o + SND_UNA] = 1;
    w[o + FLAGS] = F_RECOVER;
    for (let una = 1, k = 0; k < 5; k++) {
      w[o + SND_MAX] = w[o + SND_NXT] = (una + 0x20000000) | 0;
      s.pkt.ack = una = (una + 0x20000000) | 0;
      processAck(s, i);
    }
    expect(w[o + FLAGS]! & F_RECOVER).toBe(0);
    expect(((w[o + SND_SML]! - w[o + SND_UNA]!) | 0) <= 0).toBe(true);
    expect(field(w, o, DUPACKS)).toBe(0);
  });
});

describe('datagrams', () => {
  test('to a group: a receiver that closes another and opens a new one gets that one nothing of another port', () => {
    const w = new Wire();
    const got: string[] = [];
    class Keep extends SocketHandler {
      readonly name: string;
      constructor(name: string) {
        super();
        this.name = name;
      }
      override datagram(): boolean {
        got.push(this.name);
        return true;
      }
    }
    const open = (port: number, name: string): ReturnType<typeof dgramSocket> => {
      const so = dgramSocket(w.host);
      so.options |= 0x200 | SO_BROADCAST;
      so.handler = new Keep(name);
      must(sobind(so, sockAddr(ipv4(0), port)));
      return so;
    };
    open(7000, 'c');
    const second = open(7000, 'b');
    const first = open(7000, 'a');
    first.handler = new (class extends SocketHandler {
      override datagram(): boolean {
        got.push('a');
        soclose(second);
        open(7001, 'other');
        return true;
      }
    })();
    const u = new Uint8Array(12);
    put16(u, 0, 9);
    put16(u, 2, 7000);
    put16(u, 4, 12);
    const f = ipFrame('10.0.0.9', '10.0.0.255', 17, u);
    f.fill(255, 0, 6);
    w.raw.inject(f);
    expect(got).toEqual(['a', 'c']);
  });
});

test('a fragment of protocol 0 with ID 0 is a datagram like another: its buffer is counted and runs out', () => {
  const ct = new IpCounters();
  const reass = new Reass(ct);
  const p = new PacketIn();
  const frag = (): boolean => {
    p.bytes = new Uint8Array(100);
    p.ip = 0;
    p.off = 20;
    p.end = 28;
    p.src = ip('10.0.0.9');
    p.dst = ip(US);
    return reass.add(p, 0, 0, 0, true, 1000);
  };
  frag();
  frag();
  expect(reass.inUse).toBe(1);
  reass.tick(40_000, () => undefined);
  expect(reass.inUse).toBe(0);
  expect(ct.fragtimeout).toBe(1);
});

test('a challenge of 25 days ago is no reason to hold one back', () => {
  const { w, snd, rcv } = established();
  w.put({ seq: rcv, flags: SYN });
  expect(w.one()).toMatchObject({ flags: ACK, seq: snd });
  w.world.run(25 * 24 * 3600 * 1000);
  w.teach(PEER, PEER_MAC);
  w.put({ seq: rcv, flags: SYN });
  expect(w.one()).toMatchObject({ flags: ACK, seq: snd });
});

test('what finds no slot on the way to ourselves is counted', () => {
  const w = new Wire();
  const so = dgramSocket(w.host);
  let refused = 0;
  for (let k = 0; k < 200; k++) if (sosendto(so, text('x'), 0, 1, sockAddr(ipv4(ip(US)), 9)) === 'ENOBUFS') refused++;
  expect(refused).toBe(72);
  expect(w.host.count('alt', 'loopfull')).toBe(72);
});
