import { describe, expect, it } from 'vitest';
import { type Tuntap2Tap, createTuntap2Link } from '../../src/driver/tuntap2.ts';
import { MAC_A, MAC_ALL, pattern, udpFrame } from './frames.ts';
import { open, put, send } from './harness.ts';
import { PKT_BCAST } from '../../src/kern/packet.ts';

/** A `Tap` as the package documents it. */
class FakeTap implements Tuntap2Tap {
  readonly name = 'tap3';
  ipv4 = '';
  ipv6 = '';
  isUp = false;
  released = 0;
  readonly written: { frame: Uint8Array; done: (err?: Error | null) => void }[] = [];
  readonly listeners: Record<string, (arg: never) => void> = {};
  #mtu = 1500;
  get mtu(): number {
    return this.#mtu;
  }
  set mtu(mtu: number) {
    if (mtu > 9000) throw new Error('Invalid argument');
    this.#mtu = mtu;
  }
  on(event: string, listener: (arg: never) => void): void {
    this.listeners[event] = listener;
  }
  emit(event: string, arg?: unknown): void {
    this.listeners[event]!(arg as never);
  }
  write(frame: Uint8Array, done: (err?: Error | null) => void): boolean {
    this.written.push({ frame, done });
    return false;
  }
  release(): void {
    this.released++;
    this.emit('close');
  }
}

function setup() {
  const tap = new FakeTap();
  const { link, counters } = createTuntap2Link(tap, MAC_A, 1500);
  return { tap, link, counters, up: open(link) };
}

describe('tuntap2', () => {
  it('is an Ethernet without offload', () => {
    expect(setup().link.info()).toMatchObject({ type: 'ethernet', lladdr: MAC_A, mtu: 1500, capabilities: 0, tsoMax: 0 });
  });

  it('makes each chunk a frame', () => {
    const { tap, up, counters } = setup();
    const frame = udpFrame(pattern(100));
    frame.set(MAC_ALL);
    tap.emit('data', frame);
    tap.emit('data', pattern(13));
    expect(up.frames).toMatchObject([{ bytes: frame, flags: PKT_BCAST, gsoSize: 0 }]);
    expect(counters).toMatchObject({ rxframes: 2, rxrunt: 1 });
  });

  it('writes a copy of each frame: the stream may keep it', () => {
    const { tap, link } = setup();
    const frame = udpFrame(pattern(100));
    const sent = frame.slice();
    send(link, frame, { head: 30 });
    frame.fill(0);
    send(link, frame);
    expect(tap.written[0]!.frame).toEqual(sent);
  });

  it('bounds what the stream holds, and counts what it lost', () => {
    const { tap, link, up, counters } = setup();
    for (let i = 0; i < 260; i++) expect(put(link, udpFrame(pattern(4)))).toBeNull();
    expect(tap.written).toHaveLength(256);
    tap.written.forEach(({ done }, i) => done(i === 0 ? new Error('lost') : null));
    put(link, udpFrame(pattern(4)));
    expect(tap.written).toHaveLength(257);
    expect(counters).toMatchObject({ txframes: 257, txfull: 4, txfailed: 1 });
    expect(up.lost).toEqual({ oqdrops: 4, oerrors: 1 });
  });

  it('passes the MTU on, and says when the host refuses it', () => {
    const { tap, link } = setup();
    expect([link.setMtu(9000), tap.mtu]).toEqual([null, 9000]);
    expect([link.setMtu(9001), tap.mtu]).toEqual(['EINVAL', 9000]);
    expect(send(link, udpFrame(pattern(8000)))).toBeNull();
  });

  it('delivers nothing while it is down', () => {
    const { tap, link, up, counters } = setup();
    link.setUp(false);
    tap.emit('data', udpFrame(pattern(4)));
    expect(send(link, udpFrame(pattern(4)))).toBe('ENETDOWN');
    expect([up.frames, counters.rxdown]).toEqual([[], 1]);
  });

  it('says that the device is gone when the stream ends by itself, not when it is released', () => {
    const one = setup();
    one.tap.emit('error', new Error('EBADFD'));
    one.tap.emit('close');
    expect(one.up.states).toEqual(['gone']);
    const two = setup();
    two.link.stop();
    two.link.stop();
    expect([two.up.states, two.tap.released]).toEqual([[], 1]);
  });
});
