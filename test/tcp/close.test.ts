/** Closing (RFC 9293 §3.6, §3.10.4, §3.10.5; RFC 1122 §4.2.2.13): half close, both at once, aborts, what is unread, FINs that are lost. */
import { sosndlimits } from '../../src/kern/socket/sobuf.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soabort, soclose, soshutdown } from '../../src/kern/socket/calls.ts';
import { sosend } from '../../src/kern/socket/sendrecv.ts';
import { SocketHandler } from '../../src/kern/socket/handler.ts';
import { SOL_SOCKET, SO_LINGER } from '../../src/kern/socket/soconst.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { TcpHarness, bytes } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => {
  expect(t.stat('badstate')).toBe(0);
  t.close();
});

describe('half close', () => {
  it('ours: the peer goes on sending, and we on acknowledging', () => {
    const p = t.finWait2();
    p.sendData(2000);
    expect(p.read()).toEqual(bytes(2000, 1));
    t.run(100);
    p.recv({ flags: 'A', ack: 2001 });
    expect(p.state()).toBe('FIN_WAIT_2');
  });

  it('the peer’s: we go on sending, the reader gets the end of the stream', () => {
    const p = t.closeWait();
    expect(p.read()).toEqual(new Uint8Array(0));
    p.write('still here');
    p.recv({ flags: 'PA', seq: 1, data: 'still here' });
    p.send({ ack: 11 });
    expect(soshutdown(p.socket(), 'wr')).toBeNull();
    p.recv({ flags: 'FA', seq: 11 });
  });

  it('after our FIN a write is EPIPE', () => {
    const p = t.finWait1();
    expect(sosend(p.socket(), bytes(5), 0, 5)).toBe('EPIPE');
  });

  it('FIN waits behind unsent data, and rides on the last of it', () => {
    const p = t.established();
    p.write(3000);
    soshutdown(p.socket(), 'wr');
    const got = p.recvAll();
    expect(got.map((s) => [s.flags, s.data.length])).toEqual([
      ['A', 1460],
      ['A', 1460],
      ['FPA', 80],
    ]);
  });

  it('shutdown while connecting: the FIN follows the handshake', () => {
    const p = t.synSent();
    expect(soshutdown(p.socket(), 'wr')).toBeNull();
    p.send({ flags: 'SA', ack: 1 });
    p.recv({ flags: 'FA', seq: 1, ack: 1 });
    expect(p.state()).toBe('FIN_WAIT_1');
  });
});

describe('both at once', () => {
  it('simultaneous close: both go by CLOSING to TIME_WAIT', () => {
    const p = t.closing();
    expect(p.state()).toBe('CLOSING');
    p.send({ ack: 2 });
    expect(p.state()).toBe('TIME_WAIT');
  });

  it('FIN with data in both directions', () => {
    const p = t.established();
    p.write('bye');
    soshutdown(p.socket(), 'wr');
    p.recv({ flags: 'FPA', data: 'bye' });
    p.send({ flags: 'FPA', data: 'you too', ack: 5 });
    p.recv({ flags: 'A', seq: 5, ack: 9 });
    expect(p.read()).toEqual(new TextEncoder().encode('you too'));
    expect(p.state()).toBe('TIME_WAIT');
  });
});

describe('lost FINs', () => {
  it('ours is sent again with backoff', () => {
    const p = t.finWait1();
    const first = p.wait(2000);
    p.recv({ flags: 'FA', seq: 1 });
    expect(p.wait(4000)).toBeGreaterThanOrEqual(2 * first - 2);
    p.recv({ flags: 'FA', seq: 1 });
    p.send({ ack: 2 });
    expect(p.state()).toBe('FIN_WAIT_2');
  });

  it('with its data, when that is lost too', () => {
    const p = t.established();
    p.write('data');
    soshutdown(p.socket(), 'wr');
    p.recv({ flags: 'FPA', data: 'data' });
    p.wait(2000);
    p.recv({ flags: 'FPA', seq: 1, data: 'data' });
  });

  it('alone, when its data arrived', () => {
    const p = t.established();
    p.write('data');
    soshutdown(p.socket(), 'wr');
    p.recv({ flags: 'FPA', data: 'data' });
    p.send({ ack: 5 });
    p.wait(2000);
    p.recv({ flags: 'FA', seq: 5 });
  });

  it('the peer’s is acknowledged each time it comes', () => {
    const p = t.closeWait();
    p.send({ flags: 'FA', seq: 1 });
    p.recv({ flags: 'A', seq: 1, ack: 2 });
    expect(p.state()).toBe('CLOSE_WAIT');
  });

  it('a FIN that comes before the data in front of it waits', () => {
    const p = t.established();
    p.send({ flags: 'FA', seq: 6 });
    p.recv({ flags: 'A', ack: 1 });
    expect(p.state()).toBe('ESTABLISHED');
    p.sendData('12345');
    p.recv({ flags: 'A', ack: 7 });
    expect(p.state()).toBe('CLOSE_WAIT');
  });
});

describe('close', () => {
  it('sends what is unsent, then FIN, without the socket', () => {
    const p = t.established();
    p.win = 1460;
    p.send({});
    p.write(3460);
    p.recv({ len: 1460 });
    p.userClose();
    p.recvNothing();
    p.send({ ack: 1461, win: 65_535 });
    const rest = p.recvAll();
    expect(rest.map((s) => s.data.length)).toEqual([1460, 540]);
    expect(rest.at(-1)!.flags).toBe('FPA');
    p.send({ ack: 3462 });
    p.nxt = 1;
    p.send({ flags: 'FA' });
    p.nxt = 2;
    p.recv({ flags: 'A', ack: 2 });
    expect(t.stat('tw_added')).toBe(1);
  });

  it('MUST-12 of what is unread: RST instead of FIN', () => {
    const p = t.established();
    p.sendData('unread');
    p.userClose();
    p.recv({ flags: 'RA', seq: 1, ack: 7 });
    p.send({});
    p.recv({ flags: 'R' });
  });

  it('what was written just before goes in front of the RST', () => {
    const p = t.established();
    p.sendData('a long request');
    p.write('answer');
    p.userClose();
    p.recv({ flags: 'PA', data: 'answer' });
    p.recv({ flags: 'RA', seq: 7 });
  });

  it('SO_LINGER 0: RST', () => {
    const p = t.established();
    p.setopt(SOL_SOCKET, SO_LINGER, { onoff: 1, linger: 0 });
    p.write('never seen');
    p.recv({ len: 10 });
    p.userClose();
    p.recv({ flags: 'RA', seq: 11 });
  });

  it('data after close: RST, and the connection is gone', () => {
    const p = t.established();
    p.userClose();
    p.recv({ flags: 'FA' });
    p.send({ ack: 2 });
    p.sendData('too late', { ack: 2 });
    p.recv({ flags: 'R', seq: 2 });
    expect(t.stat('rcvafterclose')).toBe(1);
    p.send({});
    p.recv({ flags: 'R' });
  });

  it('FIN after close is in order', () => {
    const p = t.established();
    p.userClose();
    p.recv({ flags: 'FA' });
    p.send({ flags: 'FA', ack: 2 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
  });

  it('FIN_WAIT_2 of a closed socket ends after its timeout', () => {
    const p = t.established();
    p.userClose();
    p.recv({ flags: 'FA' });
    p.send({ ack: 2 });
    t.run(59_000);
    p.send({});
    p.recvNothing();
    t.run(2000);
    p.recvNothing();
    p.send({});
    p.recv({ flags: 'R' });
    expect(t.stat('finwait2drops')).toBe(1);
  });

  it('FIN_WAIT_2 of a socket that is still open does not end', () => {
    const p = t.finWait2();
    t.run(600_000);
    p.sendData('patience');
    expect(p.read()).toEqual(new TextEncoder().encode('patience'));
  });

  it('a listener that closes forgets what is half open and resets what is not accepted', () => {
    const p = t.synReceived();
    p.send({ ack: 1 });
    const q = t.synReceived({}, p.listener);
    soclose(p.listener!);
    p.recv({ flags: 'RA', seq: 1 });
    q.send({ ack: 1 });
    q.recv({ flags: 'R', seq: 1 });
  });

  it('abort resets', () => {
    const p = t.established();
    soabort(p.socket());
    p.recv({ flags: 'RA', seq: 1, ack: 1 });
  });
});

describe('reset by the peer', () => {
  it('ECONNRESET to the user, once', () => {
    const p = t.established();
    p.send({ flags: 'R', seq: 1 });
    expect(p.read()).toBe('ECONNRESET');
    expect(p.state()).toBe('CLOSED');
    p.recvNothing();
  });

  it('MUST-65: a RST with data is taken', () => {
    const p = t.established();
    p.send({ flags: 'RA', seq: 1, data: 'why' });
    expect(sotakeerror(p.socket())).toBe('ECONNRESET');
  });

  it('in CLOSING and LAST_ACK nobody needs to hear of it', () => {
    const p = t.lastAck();
    p.send({ flags: 'R' });
    expect(sotakeerror(p.socket())).toBeNull();
    expect(p.state()).toBe('CLOSED');
  });
});

describe('re-entrancy: the user acts from inside its callbacks', () => {
  class Acts extends SocketHandler {
    readonly #act: (so: Socket) => void;
    readonly #when: string;
    constructor(when: string, act: (so: Socket) => void) {
      super();
      this.#when = when;
      this.#act = act;
    }
    override data(so: Socket, _b: Uint8Array, _o: number, len: number): number {
      if (this.#when === 'data') this.#act(so);
      return len;
    }
    override readable(so: Socket): void {
      if (this.#when === 'readable') this.#act(so);
    }
    override writable(so: Socket): void {
      if (this.#when === 'writable') this.#act(so);
    }
  }
  const reply = (so: Socket): void => void sosend(so, bytes(3), 0, 3);

  it('answers from inside data: one frame with the ACK', () => {
    const p = t.established();
    p.socket().handler = new Acts('data', reply);
    p.sendData('ping');
    p.recv({ flags: 'PA', seq: 1, ack: 5, data: bytes(3) });
    p.recvNothing();
  });

  it('closes from inside data, with FIN in the same segment', () => {
    const p = t.established();
    p.socket().handler = new Acts('data', (so) => void soclose(so));
    p.send({ flags: 'FPA', data: 'ping' });
    p.recv({ flags: 'FA', seq: 1, ack: 6 });
    p.send({ seq: 6, ack: 2 });
    p.recvNothing();
  });

  it('aborts from inside data', () => {
    const p = t.established();
    p.socket().handler = new Acts('data', soabort);
    p.sendBatch({ flags: 'PA', seq: 1, data: 'one' }, { flags: 'PA', seq: 4, data: 'two' });
    expect(p.recvAll().map((s) => s.flags)).toEqual(['RA', 'R']);
  });

  it('aborts from inside data that closes a gap', () => {
    const p = t.established();
    p.socket().handler = new Acts('data', soabort);
    p.send({ seq: 4, data: 'two' });
    p.recv({ ack: 1 });
    p.send({ seq: 1, data: 'one' });
    expect(p.recvAll().map((s) => s.flags)).toEqual(['RA']);
  });

  it('closes from inside the end of the stream: FIN and ACK are one segment', () => {
    const p = t.established();
    p.socket().handler = new Acts('readable', (so) => void soclose(so));
    p.send({ flags: 'FA' });
    p.recv({ flags: 'FA', seq: 1, ack: 2 });
    p.recvNothing();
  });

  it('closes from inside writable, when the ACK comes with data', () => {
    const p = t.established();
    sosndlimits(p.socket(), 4096, p.socket().snd.lowat);
    p.write(4096);
    p.recvAll();
    p.socket().handler = new Acts('writable', (so) => void soclose(so));
    p.send({ flags: 'PA', ack: 4097, data: 'late' });
    // Data for a closed socket.
    expect(p.recvAll().map((s) => s.flags)).toEqual(['R']);
  });

  it('aborts from inside the error of a reset', () => {
    const p = t.established();
    p.socket().handler = new Acts('readable', soabort);
    p.send({ flags: 'R' });
    p.recvNothing();
  });
});

describe('the reset of an abort', () => {
  it('lies behind all that was sent, while old data is being sent again', () => {
    const p = t.established({ mss: 1000 });
    p.write(3000);
    expect(p.recvAll()).toHaveLength(3);
    p.wait(2000);
    p.recv({ seq: 1, len: 1000 });
    soabort(p.socket());
    p.recv({ flags: 'RA', seq: 3001 });
  });

  it('lies within the window while that is probed', () => {
    const p = t.established({ mss: 1000 });
    p.send({ win: 0 });
    p.write(3000);
    p.wait(2000);
    p.recv({ seq: 1, len: 1 });
    soabort(p.socket());
    p.recv({ flags: 'RA', seq: 1 });
  });
});
