/** Socket buffers that follow the bandwidth-delay product, window scale to match, and what happens when memory is short. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept, sogetopt } from '../../src/kern/socket/calls.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import { SOL_SOCKET, SO_RCVBUF, SO_SNDBUF } from '../../src/kern/socket/soconst.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { type HarnessOptions, type Peer, TcpHarness, bytes, ok } from './harness.ts';

const KB = 1024;
const OPTS = { mss: 1460, wscale: 8 };

let t: TcpHarness;
function boot(options: HarnessOptions = {}): void {
  t?.close();
  t = new TcpHarness(options);
}
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

/** ESTABLISHED after a handshake of `rttMs`. */
function established(rttMs: number, head: Socket = t.listen(80)): Peer {
  const addr = ok(head.methods.sockaddr(head));
  const p = t.peer(addr.kind === 'inet' ? addr.port : 0);
  p.send({ flags: 'S', seq: 0, opts: OPTS });
  p.irs = t.next()?.seg.seq ?? 0;
  p.nxt = 1;
  t.run(rttMs);
  p.send({ ack: 1, win: 4000 });
  p.so = ok(soaccept(head));
  return p;
}

/** The peer sends `total` bytes, a window's worth each `rttMs`; the user reads them as they come. */
function pour(p: Peer, total: number, rttMs: number, read = true): void {
  const chunk = bytes(60_000);
  let left = total;
  while (left > 0) {
    let window = p.info().rcv_wnd;
    while (window > 0 && left > 0) {
      const n = Math.min(chunk.length, window, left);
      p.sendData(chunk.subarray(0, n), { gsoSize: 1460 });
      if (read) p.read();
      window -= n;
      left -= n;
    }
    t.run(rttMs);
    p.recvAll();
  }
}

describe('the receive buffer', () => {
  it('doubles for a peer that fills it in a round trip, up to recvbuf_max', () => {
    const p = established(50);
    const first = p.info().rcv_buf;
    expect(first).toBeLessThan(1024 * KB);
    pour(p, 8 << 20, 50);
    expect(p.info().rcv_buf).toBeGreaterThanOrEqual(2048 * KB);
    pour(p, 40 << 20, 50);
    expect(p.info().rcv_buf).toBe(8192 * KB);
    expect(p.info().rcv_wnd).toBeGreaterThan(7 << 20);
    expect(t.stat('rcvbufgrown')).toBe(Math.log2((8192 * KB) / first));
  });

  it('stays for a slow peer', () => {
    const p = established(50);
    const first = p.info().rcv_buf;
    for (let i = 0; i < 100; i++) {
      p.sendData(bytes(10_000), { gsoSize: 1460 });
      p.read();
      t.run(50);
    }
    expect(p.info().rcv_buf).toBe(first);
  });

  it('is the user’s when the user has set it, on a listener too', () => {
    const head = t.listen();
    expect(sosetopt(head, { dir: 'set', level: SOL_SOCKET, name: SO_RCVBUF, value: 256 * KB })).toBeNull();
    const p = established(50, head);
    pour(p, 8 << 20, 50);
    expect(p.info().rcv_buf).toBe(256 * KB);
  });

  it('stays with net.inet.tcp.recvbuf_auto=0', () => {
    t.sysctl('recvbuf_auto', false);
    const p = established(50);
    const first = p.info().rcv_buf;
    pour(p, 4 << 20, 50);
    expect(p.info().rcv_buf).toBe(first);
  });
});

describe('the send buffer', () => {
  /** The user fills the buffer, the peer acknowledges all each `rttMs`, in ACKs of two segments. */
  function drain(p: Peer, rounds: number, rttMs: number): void {
    const data = bytes(16 * KB);
    let una = 1;
    for (let i = 0; i < rounds; i++) {
      while (p.info().snd_buf - (p.socket().snd.cc ?? 0) >= data.length) p.write(data);
      t.run(rttMs);
      let top = una;
      for (const s of p.recvAll()) top = Math.max(top, s.seq + s.data.length);
      for (; una < top; una = Math.min(top, una + 2920)) p.send({ ack: Math.min(top, una + 2920), win: 30_000 });
    }
  }

  it('grows with the congestion window while the user fills it, up to sendbuf_max', () => {
    boot({ slots: 8192 });
    t.sysctl('sendbuf_max', 1024 * KB);
    const p = established(50);
    p.send({ win: 30_000 });
    drain(p, 14, 50);
    expect(p.info().snd_buf).toBe(1024 * KB);
    expect(t.stat('sndbufgrown')).toBe(1);
  });

  it('stays when the user has set it', () => {
    boot({ slots: 8192 });
    const p = established(50);
    p.setopt(SOL_SOCKET, SO_SNDBUF, 512 * KB);
    p.send({ win: 30_000 });
    drain(p, 14, 50);
    expect(p.info().snd_buf).toBe(512 * KB);
  });
});

describe('the window scale', () => {
  it('is chosen for recvbuf_max, and stays what the SYN said when that changes before the ACK', () => {
    const p = t.synReceived(OPTS);
    expect(p.syn?.opts.wscale).toBe(8);
    t.sysctl('recvbuf_max', 65_535);
    p.send({ ack: 1 });
    p.so = ok(soaccept(p.listener as Socket));
    expect(p.info().rcv_wscale).toBe(8);
    p.sendData(3000, { gsoSize: 1500 });
    expect(p.recv({ flags: 'A' }).win).toBeLessThanOrEqual((512 * KB) >> 8);
  });

  it('of an active open likewise', () => {
    const p = t.synSent();
    t.sysctl('recvbuf_max', 65_535);
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: OPTS });
    p.nxt = 1;
    p.recv({ flags: 'A' });
    expect(p.info().rcv_wscale).toBe(8);
  });

  it('a SYN cookie from before the change is no cookie after it', () => {
    t.sysctl('syncache.cachelimit', 1);
    const head = t.listen();
    t.peer().send({ flags: 'S', seq: 0 });
    t.next();
    const p = t.synReceived(OPTS, head);
    expect(t.stat('sc_sendcookie')).toBe(1);
    t.sysctl('recvbuf_max', 65_535);
    p.send({ ack: 1 });
    p.recv({ flags: 'R' });
    expect(t.stat('sc_badcookie')).toBe(1);
  });
});

describe('when memory is short (net.inet.tcp.mem_pressure)', () => {
  beforeEach(() => {
    boot({ env: { 'kern.ipc.maxbufbytes': '4194304', 'net.inet.tcp.recvspace': '524288' } });
    t.sysctl('mem_pressure', 25);
  });

  /** Someone who does not read. */
  function hoard(port: number): Peer {
    const p = established(50, t.listen(port));
    for (let i = 0; i < 20; i++) {
      const n = Math.min(60_000, p.info().rcv_wnd);
      if (n > 0) p.sendData(bytes(n), { gsoSize: 1460 });
      t.run(1);
    }
    p.recvAll();
    return p;
  }

  it('a reader that leaves bytes lie is offered a small window', () => {
    const pool = t.kernel.bufpool;
    for (let i = 0; i < 3; i++) hoard(100 + i);
    expect(pool.used).toBeGreaterThan(pool.limitBytes / 4);
    const late = hoard(200);
    expect((late.socket().rcv.cc ?? 0) < 200_000).toBe(true);
    expect(t.stat('rcvpressure')).toBeGreaterThan(0);
  });

  it('no buffer grows, and that is counted', () => {
    for (let i = 0; i < 3; i++) hoard(100 + i);
    const p = established(50, t.listen(300));
    const first = p.info().rcv_buf;
    pour(p, 4 << 20, 50);
    expect(p.info().rcv_buf).toBe(first);
    expect(t.stat('bufpressure')).toBeGreaterThan(0);
  });

  it('a connection that its user has closed does not wait for a closed window', () => {
    const p = t.established({ mss: 1000 });
    p.send({ win: 0 });
    p.write(5000);
    p.userClose();
    for (let i = 0; i < 3; i++) hoard(100 + i);
    t.run(5000);
    expect(t.stat('persistdrop')).toBe(1);
  });
});

describe('SO_RCVBUF and SO_SNDBUF', () => {
  it('answer the size as it is now', () => {
    const p = established(50);
    pour(p, 4 << 20, 50);
    const sopt = { dir: 'get' as const, level: SOL_SOCKET, name: SO_RCVBUF, value: null as unknown };
    expect(sogetopt(p.socket(), sopt)).toBeNull();
    expect(sopt.value).toBe(p.info().rcv_buf);
  });
});
