/** Urgent data (RFC 9293 §3.8.5, RFC 6093): MUST-30..33, MUST-62; MSG_OOB and SO_OOBINLINE as BSD has them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MSG_OOB, MSG_PEEK, soreceive, sosendoob } from '../../src/kern/socket/sendrecv.ts';
import { SOL_SOCKET, SO_OOBINLINE } from '../../src/kern/socket/soconst.ts';
import { SS_RCVATMARK } from '../../src/kern/socket/socket.ts';
import type { Tcb } from '../../src/stacks/inet/tcp/tcb.ts';
import { type Peer, TcpHarness, bytes } from './harness.ts';

let t: TcpHarness;
let p: Peer;
beforeEach(() => {
  t = new TcpHarness();
  p = t.established();
});
afterEach(() => t.close());

const ascii = (s: string) => new TextEncoder().encode(s);
const oob = (flags = 0): number | string => {
  const b = new Uint8Array(1);
  const n = soreceive(p.socket(), b, 0, 1, MSG_OOB | flags);
  return n === 1 ? (b[0] as number) : (n as string);
};

describe('receiving', () => {
  it('the urgent byte is taken out of the stream', () => {
    expect(oob()).toBe('EINVAL');
    p.sendData('abXcd', { flags: 'UPA', urp: 3 });
    expect(oob(MSG_PEEK)).toBe(88);
    expect(oob()).toBe(88);
    expect(oob()).toBe('EINVAL');
    // A read stops at the mark.
    expect(p.read()).toEqual(ascii('ab'));
    expect(p.socket().state & SS_RCVATMARK).toBe(SS_RCVATMARK);
    expect(p.read()).toEqual(ascii('cd'));
  });

  it('announced before it comes: EAGAIN until then', () => {
    p.sendData('ab', { flags: 'UPA', urp: 5 });
    expect(oob()).toBe('EAGAIN');
    p.sendData('cdX', { flags: 'UPA', urp: 3 });
    expect(oob()).toBe(88);
    expect([p.read(), p.read()]).toEqual([ascii('abcd'), 'EAGAIN']);
  });

  it('SO_OOBINLINE leaves it in the stream', () => {
    p.setopt(SOL_SOCKET, SO_OOBINLINE, 1);
    p.sendData('abXcd', { flags: 'UPA', urp: 3 });
    expect(oob()).toBe('EINVAL');
    expect([p.read(), p.read()]).toEqual([ascii('ab'), ascii('Xcd')]);
  });

  it('is counted in the sequence space: nothing else goes wrong after it', () => {
    p.sendData('X', { flags: 'UPA', urp: 1 });
    p.sendData(2000);
    expect(p.read()).toEqual(bytes(2000, 2));
    t.run(50);
    p.recv({ ack: 2002 });
  });

  it('a pointer far ahead, or zero, does no harm', () => {
    p.sendData('abc', { flags: 'UPA', urp: 65_535 });
    p.sendData('def', { flags: 'UPA', urp: 0 });
    expect(p.read()).toEqual(ascii('abcdef'));
  });
});

describe('sending', () => {
  it('MSG_OOB sets URG and the pointer behind the byte (RFC 6093)', () => {
    expect(sosendoob(p.socket(), ascii('abX'), 0, 3)).toBeNull();
    p.recv({ flags: 'PAU', seq: 1, urp: 3, data: 'abX' });
    p.send({ ack: 4 });
    p.write('later');
    p.recv({ flags: 'PA', urp: 0, data: 'later' });
  });

  it('goes in spite of Nagle and of a closed window (MUST-66)', () => {
    p.write('a');
    p.recv({ data: 'a' });
    p.send({ ack: 1, win: 0 });
    sosendoob(p.socket(), ascii('X'), 0, 1);
    const got = p.recv({});
    expect(got.flags).toContain('U');
  });
});

describe('after very much data', () => {
  /** As if `n` bytes had come and gone. */
  const pass = (n: number): void => {
    const tcb = p.socket().pcb as Tcb;
    for (const key of ['rcvNxt', 'rcvAdv', 'lastAckSent', 'sndWl1'] as const) tcb[key] = (tcb[key] + n) | 0;
    p.nxt += n;
    p.sendData('.');
    p.read();
  };

  it('an urgent byte long ago does not hide a new one', () => {
    p.sendData('X', { flags: 'UPA', urp: 1 });
    expect(oob()).toBe(88);
    pass(0x6000_0000);
    pass(0x6000_0000);
    p.sendData('Y', { flags: 'UPA', urp: 1 });
    expect(oob()).toBe(89);
  });

  it('nor takes a byte out of the stream when the numbers come round', () => {
    p.sendData('X', { flags: 'UPA', urp: 1 });
    for (const n of [0x6000_0000, 0x6000_0000, 0x3fff_fff0]) pass(n);
    p.sendData(bytes(100));
    expect(p.read()).toEqual(bytes(100));
  });
});

describe('with segmentation offload', () => {
  it('no frame with an urgent pointer is cut by the link: each piece would point elsewhere', () => {
    t.close();
    t = new TcpHarness({ offload: true });
    p = t.established({ mss: 1000 });
    p.send({ win: 0 });
    p.write(5000);
    expect(sosendoob(p.socket(), ascii('X'), 0, 1)).toBeNull();
    p.recvAll();
    p.send({ win: 65_535 });
    const sent = p.recvAll().filter((s) => s.flags.includes('U'));
    expect(sent.length).toBeGreaterThan(1);
    for (const s of sent) {
      expect(s.gsoSize).toBe(0);
      expect(s.seq + s.urp).toBe(5002);
    }
  });
});
