import { describe, expect, it } from 'vitest';
import { type GifLink, type RawSocket, type RawSocketModule, openGif } from '../../src/driver/gif.ts';
import { pattern, tcpFrame, udpFrame } from './frames.ts';
import { open, send } from './harness.ts';

/** A stand-in for the package, with its documented functions. */
class FakeRaw implements RawSocketModule {
  readonly AddressFamily = { IPv4: 1 };
  readonly SocketLevel = { IPPROTO_IP: 0 };
  readonly SocketOption = { IP_TTL: 2 };
  readonly sockets = new Map<number, FakeSocket>();
  fail = false;
  createSocket({ protocol }: { protocol: number }): RawSocket {
    if (this.fail) throw new Error('Operation not permitted');
    const socket = new FakeSocket();
    this.sockets.set(protocol, socket);
    return socket;
  }
}

class FakeSocket implements RawSocket {
  readonly sent: { bytes: Uint8Array; to: string; done: (err: Error | null, n: number) => void }[] = [];
  readonly options: number[][] = [];
  closed = 0;
  message: (packet: Uint8Array, source: string) => void = () => {};
  error: (err: Error) => void = () => {};
  on(event: string, listener: unknown): void {
    if (event === 'message') this.message = listener as FakeSocket['message'];
    if (event === 'error') this.error = listener as FakeSocket['error'];
  }
  send(bytes: Uint8Array, off: number, len: number, to: string, done: (err: Error | null, n: number) => void): void {
    this.sent.push({ bytes: bytes.slice(off, off + len), to, done });
  }
  setOption(...args: number[]): void {
    this.options.push(args);
  }
  close(): void {
    this.closed++;
  }
}

function setup(): { raw: FakeRaw; gif: GifLink; v4: FakeSocket; v6: FakeSocket; up: ReturnType<typeof open> } {
  const raw = new FakeRaw();
  const gif = openGif({ remote: '192.0.2.2' }, raw);
  if ('error' in gif) throw new Error(gif.error);
  return { raw, gif, v4: raw.sockets.get(4)!, v6: raw.sockets.get(41)!, up: open(gif.link) };
}

const INNER4 = udpFrame(pattern(50)).subarray(14);
const INNER6 = udpFrame(pattern(50), 6).subarray(14);
const OUTER = [0x46, ...new Array<number>(23).fill(0)];

describe('gif', () => {
  it('is a tunnel of 1280 bytes', () => {
    expect(setup().gif.link.info()).toEqual({
      type: 'tunnel',
      lladdr: null,
      mtu: 1280,
      maxMtu: 65515,
      capabilities: 0,
      tsoMax: 0,
    });
  });

  it('sends IPv4 as protocol 4 and IPv6 as protocol 41 to the other end, with a time to live', () => {
    const { gif, v4, v6 } = setup();
    expect(send(gif.link, INNER4, { head: 20, slices: [7] })).toBeNull();
    expect(send(gif.link, INNER6)).toBeNull();
    expect(v4.sent).toMatchObject([{ bytes: INNER4, to: '192.0.2.2' }]);
    expect(v6.sent).toMatchObject([{ bytes: INNER6, to: '192.0.2.2' }]);
    expect(v4.options).toEqual([[0, 2, 30]]);
  });

  it('delivers what comes from the other end, without the outer header, options and all', () => {
    const { v4, v6, up } = setup();
    v4.message(Uint8Array.from([...OUTER, ...INNER4]), '192.0.2.2');
    v6.message(Uint8Array.from([...OUTER, ...INNER6]), '192.0.2.2');
    expect(up.frames).toMatchObject([{ bytes: INNER4, flags: 0 }, { bytes: INNER6 }]);
  });

  it('drops and counts what comes from elsewhere, is cut short, or is not what the protocol says', () => {
    const { gif, v4, v6, up } = setup();
    v4.message(Uint8Array.from([...OUTER, ...INNER4]), '192.0.2.3');
    v4.message(Uint8Array.from(OUTER), '192.0.2.2');
    v4.message(Uint8Array.from([0x41, 1, 2]), '192.0.2.2');
    v4.message(new Uint8Array(0), '192.0.2.2');
    v4.message(Uint8Array.from([...OUTER, ...INNER6]), '192.0.2.2');
    v6.message(Uint8Array.from([...OUTER, ...INNER4]), '192.0.2.2');
    gif.link.setUp(false);
    v4.message(Uint8Array.from([...OUTER, ...INNER4]), '192.0.2.2');
    expect(up.frames).toEqual([]);
    expect(gif.counters).toMatchObject({ rxpackets: 7, rxsource: 1, rxbad: 5, rxdown: 1 });
  });

  it('bounds what waits in the sockets, and counts what they could not send', () => {
    const { gif, v4, up } = setup();
    for (let i = 0; i < 300; i++) expect(send(gif.link, INNER4)).toBeNull();
    expect(v4.sent).toHaveLength(256);
    v4.sent.forEach(({ done }, i) => done(i < 3 ? new Error('no route') : null, 0));
    expect(send(gif.link, INNER4)).toBeNull();
    expect(v4.sent).toHaveLength(257);
    expect(gif.counters).toMatchObject({ txpackets: 257, txfull: 44, txfailed: 3 });
    expect(up.lost).toEqual({ oqdrops: 44, oerrors: 3 });
  });

  it('refuses what is too long, and closes both sockets once', () => {
    const { gif, v4, v6 } = setup();
    expect(send(gif.link, tcpFrame({ version: 4, payload: pattern(1300) }).subarray(14))).toBe('EMSGSIZE');
    gif.link.stop();
    gif.link.stop();
    expect([v4.closed, v6.closed]).toEqual([1, 1]);
    expect(send(gif.link, INNER4)).toBe('ENETDOWN');
    expect(gif.link.setUp(true)).toBe('ENXIO');
  });

  it('says in one line why it cannot open', () => {
    const raw = new FakeRaw();
    raw.fail = true;
    expect(openGif({ remote: '192.0.2.2' }, raw)).toEqual({
      error: 'gif: no raw socket (Operation not permitted): run as root, or with CAP_NET_RAW',
    });
    expect(openGif({ remote: '192.0.2.2' }, { error: 'not built' })).toEqual({ error: 'not built' });
  });
});
