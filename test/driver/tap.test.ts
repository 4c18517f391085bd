import { describe, expect, it } from 'vitest';
import * as A from '../../src/driver/tap/addon.ts';
import { type Found, HostSide } from '../../src/driver/tap/host.ts';
import { createTapLink } from '../../src/driver/tap/tap.ts';
import { IFCAP_LRO, IFCAP_RXCSUM, IFCAP_TSO4, IFCAP_TXCSUM, IFCAP_TXCSUM_IPV6 } from '../../src/kern/ifnet/link.ts';
import { PKT_BACKLOG, PKT_CSUM_OK, PKT_MCAST, TX_CSUM, TX_TSO4 } from '../../src/kern/packet.ts';
import { MAC_A, pattern, tcpFrame, udpFrame } from './frames.ts';
import { Upper, open, put, send } from './harness.ts';

/** The addon's side of the tables, without a device. */
class FakeAddon implements A.TapAddon {
  buffers: A.TapBuffers | null = null;
  /** Rows of the table as they were written, with the slices' bytes gathered. */
  readonly written: { row: number[]; bytes: number[] }[] = [];
  accept = Infinity;
  offload = -1;
  closed = 0;
  /** What each batch was answered with. */
  answers: number[] = [];
  open(): A.TapDevice {
    throw new Error('not here');
  }
  memory(bytes: number): ArrayBuffer {
    return new ArrayBuffer(bytes);
  }
  start(_id: number, buffers: A.TapBuffers): void {
    this.buffers = buffers;
  }
  writeBatch(_id: number, n: number, frags: readonly Uint8Array[]): void {
    const { tx, txTable } = this.buffers!;
    const sent = Math.min(n, this.accept);
    for (let i = 0; i < sent; i++) {
      const row = [...txTable.subarray(i * A.TX_STRIDE, (i + 1) * A.TX_STRIDE)];
      const bytes = [...tx.subarray(row[A.TX_OFF], row[A.TX_OFF]! + row[A.TX_LEN]!)];
      for (let f = 0; f < row[A.TX_NFRAGS]!; f++) {
        const [index, off, len] = row.slice(A.TX_FRAGS + 3 * f) as [number, number, number];
        bytes.push(...frags[index]!.subarray(off, off + len));
      }
      this.written.push({ row, bytes });
    }
    if (sent < n) this.count(A.ST_TX_BLOCKED, n - sent);
  }
  count(counter: number, n: number): void {
    this.buffers!.stats[counter]! += n;
    this.buffers!.stats[A.ST_EVENTS]!++;
  }
  pause(): void {}
  resume(): void {}
  setOffload(_id: number, features: number): number {
    this.offload = features;
    return features;
  }
  setSpin(): void {}
  lro: boolean | null = null;
  setLro(_id: number, on: boolean): void {
    this.lro = on;
  }
  close(): void {
    this.closed++;
  }
  /** Frames from the host: each with virtio flags, GSO type and size. */
  deliver(frames: [Uint8Array, number, number, number][]): void {
    const { rx, rxTable, onBatch } = this.buffers!;
    frames.forEach(([bytes, ...rest], i) => {
      rx.set(bytes, i * 2048 + 10);
      rxTable.set([i * 2048 + 10, bytes.length, ...rest], i * A.RX_STRIDE);
    });
    const answers = onBatch(frames.length);
    this.answers.push(answers);
    const events = this.buffers!.stats[A.ST_EVENTS];
    if (answers > 0) this.writeBatch(0, answers, []);
    if (this.buffers!.stats[A.ST_EVENTS] !== events) expect(onBatch(0)).toBe(0);
  }
}

function setup(features = 15, vnetHdr = true) {
  const addon = new FakeAddon();
  const undone: string[] = [];
  const host = {
    setMtu: (mtu: number) => (mtu > 9000 ? ('EINVAL' as const) : null),
    undo: () => void undone.push(`closed ${addon.closed}`),
  };
  const device = { id: 0, name: 'tap0', vnetHdr, existed: false, features };
  const { link, counters, setLro } = createTapLink({ addon, device, host, lladdr: MAC_A, mtu: 1500 });
  return { addon, link, counters, setLro, undone };
}

describe('tap', () => {
  it('has every offload with virtio headers, and without them what the driver does itself', () => {
    expect(setup().link.info()).toMatchObject({ tsoMax: 65535, maxMtu: 65521 });
    expect(setup().link.info().capabilities & (IFCAP_TSO4 | IFCAP_LRO)).toBe(IFCAP_TSO4 | IFCAP_LRO);
    expect(setup(A.TUN_F_CSUM).link.info().capabilities & (IFCAP_TSO4 | IFCAP_LRO)).toBe(IFCAP_TSO4);
    const own = IFCAP_LRO | IFCAP_TXCSUM | IFCAP_TXCSUM_IPV6 | IFCAP_TSO4;
    for (const { link } of [setup(0), setup(0, false)]) expect(link.info()).toMatchObject({ capabilities: own, tsoMax: 65535 });
  });

  it('merges segments itself when there is no offload, the interface wants it, and the setting allows it', () => {
    const { addon, link, setLro } = setup(0);
    expect([link.setCapEnable(IFCAP_LRO), addon.lro]).toEqual([null, true]);
    expect([setLro(false), addon.lro]).toEqual([null, false]);
    expect([link.setCapEnable(IFCAP_LRO), addon.lro]).toEqual([null, false]);
    expect([link.setCapEnable(0), setLro(true), addon.lro]).toEqual([null, null, false]);
    expect([link.setCapEnable(IFCAP_LRO), addon.lro]).toEqual([null, true]);
    expect([link.setCapEnable(IFCAP_RXCSUM), addon.offload]).toEqual(['EINVAL', -1]);
    link.stop();
    expect([link.setCapEnable(0), setLro(false)]).toEqual(['ENXIO', 'ENXIO']);

    const device = setup();
    expect([device.link.setCapEnable(device.link.info().capabilities), device.setLro(true), device.addon.lro]).toEqual([
      null,
      null,
      null,
    ]);
  });

  it('marks a batch that ended before the device was empty', () => {
    const { addon, link, counters } = setup(0);
    const up = open(link);
    addon.count(A.ST_LRO_MERGED, 30);
    addon.count(A.ST_LRO_FRAMES, 2);
    for (const full of [1, 0]) {
      addon.buffers!.stats[A.ST_RX_FULL] = full;
      addon.deliver([[udpFrame(pattern(9)), 0, 0, 0]]);
    }
    expect(up.frames.map(({ flags }) => flags & PKT_BACKLOG)).toEqual([PKT_BACKLOG, 0]);
    expect(counters).toMatchObject({ lro_merged: 30, lro_frames: 2 });
  });

  it('tells the host what may be left open', () => {
    const { addon, link } = setup();
    const all = link.info().capabilities;
    expect([link.setCapEnable(all), addon.offload]).toEqual([null, 15]);
    expect([link.setCapEnable(all & ~IFCAP_LRO), addon.offload]).toEqual([null, A.TUN_F_CSUM]);
    expect([link.setCapEnable(IFCAP_TSO4), addon.offload]).toEqual([null, 0]);
    expect([link.setCapEnable(IFCAP_LRO), link.setCapEnable(1 << 30)]).toEqual(['EINVAL', 'EINVAL']);
    expect([link.setCapEnable(IFCAP_LRO | IFCAP_RXCSUM), addon.offload]).toEqual([null, 15]);
  });

  it('delivers a batch with what the virtio headers say', () => {
    const { addon, link, counters } = setup();
    const up = open(link);
    const [plain, open_] = [udpFrame(pattern(9)), tcpFrame({ version: 4, payload: pattern(1500) })];
    plain.set([1, 0, 0x5e], 0);
    addon.deliver([
      [plain, 0, 0, 0],
      [open_, A.VIRTIO_NEEDS_CSUM, A.VIRTIO_GSO_TCPV4, 700],
      [open_, A.VIRTIO_DATA_VALID, 0, 99],
    ]);
    expect(up.frames).toEqual([
      { bytes: plain, flags: PKT_MCAST, gsoSize: 0, batch: 1 },
      { bytes: open_, flags: PKT_CSUM_OK, gsoSize: 700, batch: 1 },
      { bytes: open_, flags: PKT_CSUM_OK, gsoSize: 0, batch: 1 },
    ]);
    link.setUp(false);
    addon.deliver([[plain, 0, 0, 0]]);
    expect(up.frames).toHaveLength(3);
    expect(counters).toMatchObject({ rxbatches: 2, rxframes: 4, rxdown: 1 });
  });

  it('stops handing over when it is closed inside a batch', () => {
    const { addon, link } = setup();
    const up = open(link);
    up.onFrame = () => link.stop();
    addon.deliver([
      [udpFrame(pattern(1)), 0, 0, 0],
      [udpFrame(pattern(1)), 0, 0, 0],
    ]);
    expect([up.frames.length, up.depth, addon.closed]).toEqual([1, 0, 1]);
  });

  it('writes a batch at the flush, with headers for the host', () => {
    const { addon, link } = setup();
    open(link);
    const [plain, part, big] = [
      udpFrame(pattern(9)),
      udpFrame(pattern(99)),
      tcpFrame({ version: 4, payload: pattern(5000), flags: 0x98 }),
    ];
    put(link, plain);
    put(link, part, { flags: TX_CSUM, csumStart: 34, csumOffset: 6 });
    put(link, big, { flags: TX_TSO4, gsoSize: 1460, csumStart: 34, csumOffset: 16, head: 54, slices: [100, 200] });
    expect(addon.written).toEqual([]);
    link.flush();
    expect(addon.written.map(({ bytes }) => Uint8Array.from(bytes))).toEqual([plain, part, big]);
    const headers = addon.written.map(({ row }) => row.slice(A.TX_FLAGS, A.TX_FRAGS));
    expect(headers).toEqual([
      [0, 0, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 34, 6, 0],
      [1, A.VIRTIO_GSO_TCPV4 | A.VIRTIO_GSO_ECN, 1460, 54, 34, 16, 3],
    ]);
    // Slices of one buffer share its entry.
    expect([0, 3, 6].map((i) => addon.written[2]!.row[A.TX_FRAGS + i])).toEqual([0, 0, 0]);
  });

  it('answers a batch with frames that are written when it returns, and writes those with slices before', () => {
    const { addon, link, counters } = setup();
    const up = open(link);
    const frames = [udpFrame(pattern(9)), udpFrame(pattern(10)), udpFrame(pattern(11))];
    up.onEnd = () => {
      put(link, frames[0]!);
      link.flush();
      put(link, frames[1]!);
      expect(addon.written).toEqual([]);
    };
    addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]]);
    expect([addon.answers, addon.written.map(({ bytes }) => Uint8Array.from(bytes))]).toEqual([[2], frames.slice(0, 2)]);
    up.onEnd = () => {
      put(link, frames[0]!);
      link.flush();
      put(link, frames[2]!, { head: 42, slices: [3, 5] });
      link.flush();
      expect(addon.written.length).toBe(4);
      put(link, frames[1]!);
      link.flush();
    };
    addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]]);
    expect(addon.answers).toEqual([2, 1]);
    expect(addon.written.slice(2).map(({ bytes }) => Uint8Array.from(bytes))).toEqual([frames[0], frames[2], frames[1]]);
    expect(counters).toMatchObject({ txbatches: 3, txframes: 5, txblocked: 0 });
    // Outside a batch, and without a flush inside one, nobody waits for a return.
    up.onEnd = () => {};
    send(link, frames[0]!);
    expect(addon.written.length).toBe(6);
  });

  it('leaves frames with slices that nobody flushed for the flush', () => {
    const { addon, link } = setup();
    const up = open(link);
    up.onEnd = () => void put(link, udpFrame(pattern(11)), { head: 42, slices: [8] });
    addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]]);
    expect([addon.answers, addon.written.length]).toEqual([[0], 0]);
    link.flush();
    expect(Uint8Array.from(addon.written[0]!.bytes)).toEqual(udpFrame(pattern(11)));
  });

  it('writes during a batch when the ring is full, and when it is closed', () => {
    const { addon, link } = setup();
    const up = open(link);
    up.onEnd = () => {
      for (let i = 0; i < 512; i++) put(link, udpFrame(pattern(1)));
      link.flush();
      expect(addon.written.length).toBe(512);
      put(link, udpFrame(pattern(1)));
      link.flush();
      link.stop();
      expect([addon.written.length, addon.closed]).toEqual([513, 1]);
    };
    addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]]);
    expect(addon.answers).toEqual([0]);
  });

  it('hears at once what did not leave of an answer, and survives work that throws', () => {
    const { addon, link, counters } = setup();
    const up = open(link);
    addon.accept = 2;
    up.onEnd = () => {
      for (let i = 0; i < 5; i++) put(link, udpFrame(pattern(i)));
      link.flush();
    };
    addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]]);
    expect(up.lost).toEqual({ oqdrops: 3 });
    expect(counters).toMatchObject({ txbatches: 1, txframes: 2, txblocked: 3 });
    up.onEnd = () => {
      throw new Error('work');
    };
    expect(() => addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]])).toThrow('work');
    send(link, udpFrame(pattern(1)));
    expect(addon.written.length).toBe(3);
  });

  it('counts on from 0 after its counters were reset', () => {
    const { addon, link, counters } = setup();
    const up = open(link);
    addon.count(A.ST_RX_ERROR, 4);
    addon.count(A.ST_RX_RUNT, 2);
    addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]]);
    expect(counters).toMatchObject({ rxerror: 4, rxrunt: 2 });
    counters.rxerror = counters.rxrunt = 0;
    addon.count(A.ST_RX_ERROR, 1);
    addon.deliver([[udpFrame(pattern(1)), 0, 0, 0]]);
    expect(counters).toMatchObject({ rxerror: 1, rxrunt: 0 });
    expect(up.lost).toEqual({ ierrors: 5 });
  });

  it('loses, and counts, what the host does not take', () => {
    const { addon, link, counters } = setup();
    const up = open(link);
    addon.accept = 2;
    for (let i = 0; i < 5; i++) put(link, udpFrame(pattern(i)));
    link.flush();
    addon.count(A.ST_TX_REFUSED, 3);
    addon.count(A.ST_TX_INVALID, 1);
    send(link, udpFrame(pattern(1)));
    send(link, udpFrame(pattern(1)));
    expect(up.lost).toEqual({ oqdrops: 3, oerrors: 4 });
    expect(counters).toMatchObject({ txbatches: 3, txframes: 4, txblocked: 3, txrefused: 3, txinvalid: 1 });
  });

  it('has 512 slots, all of them back after each flush', () => {
    const { link } = setup();
    open(link);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 512; i++) expect(put(link, udpFrame(pattern(1)))).toBeNull();
      expect(link.txAlloc()).toBeNull();
      link.flush();
    }
    const pkt = link.txAlloc()!;
    link.txFree(pkt);
    link.txFree(pkt);
    expect(link.txAlloc()).toBe(pkt);
    expect(link.txAlloc()).not.toBe(pkt);
  });

  it('closes once, after the host side was taken back, and works no more', () => {
    const { addon, link, undone } = setup();
    open(link);
    put(link, udpFrame(pattern(1)));
    link.stop();
    link.stop();
    expect([addon.written.length, addon.closed, undone]).toEqual([1, 1, ['closed 0']]);
    expect([send(link, udpFrame(pattern(1))), link.setUp(true), link.setCapEnable(0), link.start(new Upper())]).toEqual([
      'ENETDOWN',
      'ENXIO',
      'ENXIO',
      'EBUSY',
    ]);
    link.flush();
  });

  it('sets the MTU on both sides, or on none', () => {
    const { link } = setup();
    open(link);
    expect(link.setMtu(9001)).toBe('EINVAL');
    expect(send(link, udpFrame(pattern(5000)))).toBe('EMSGSIZE');
    expect(link.setMtu(9000)).toBeNull();
    expect(send(link, udpFrame(pattern(5000)))).toBeNull();
  });
});

describe("the host's side", () => {
  const config = { peers: ['10.0.0.1/24', 'fd00::1/64'], mtu: 1400, txqueuelen: 500 };
  const show = (): Found => ({ mtu: 9000, txqueuelen: 77, up: false });

  it('is configured by ip, and its addresses removed from a device that stays', () => {
    for (const existed of [true, false]) {
      const calls: string[] = [];
      const host = new HostSide('tap0', existed, (args) => (calls.push(args.join(' ')), null), show);
      expect(host.configure(config)).toBeNull();
      expect(calls.splice(0)).toEqual([
        'link set dev tap0 mtu 1400 txqueuelen 500',
        'address add 10.0.0.1/24 dev tap0',
        'address add fd00::1/64 dev tap0 nodad',
        'link set dev tap0 up',
      ]);
      host.undo();
      host.undo();
      const undone = [
        'address delete fd00::1/64 dev tap0',
        'address delete 10.0.0.1/24 dev tap0',
        'link set dev tap0 mtu 9000 txqueuelen 77 down',
      ];
      expect(calls).toEqual(existed ? undone : []);
    }
  });

  it('takes back what it did when something fails, and keeps an address that was there', () => {
    const calls: string[] = [];
    const host = new HostSide(
      'tap0',
      true,
      (args) => {
        calls.push(args.join(' '));
        if (args.includes('10.0.0.1/24') && args.includes('add')) return 'ip: RTNETLINK answers: File exists';
        return args.includes('up') ? 'ip: no' : null;
      },
      show,
    );
    expect(host.configure(config)).toBe('ip: no');
    expect(calls.filter((call) => call.includes('delete'))).toEqual(['address delete fd00::1/64 dev tap0']);
  });
});
