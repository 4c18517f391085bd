import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createLo } from '../../src/driver/lo.ts';
import { createPair } from '../../src/driver/pair.ts';
import { type PcapOptions, tracePcapng } from '../../src/driver/pcapng.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import type { Link } from '../../src/kern/ifnet/link.ts';
import { TX_TSO4 } from '../../src/kern/packet.ts';
import { MAC_ALL, pattern, tcpFrame, udpFrame } from './frames.ts';
import { type Upper, open, put, send } from './harness.ts';

interface Block {
  type: number;
  body: DataView;
  options: Map<number, Uint8Array>;
}

/** Length of the fixed part of each block's body. */
const FIXED: Record<number, number> = { 0x0a0d0d0a: 16, 1: 8, 5: 12, 6: 20 };

/** Reads the file as the format's description says, and checks every length in it. */
function parse(file: Uint8Array): Block[] {
  const blocks: Block[] = [];
  for (let at = 0; at < file.length;) {
    const view = new DataView(file.buffer, file.byteOffset + at);
    const [type, total] = [view.getUint32(0, true), view.getUint32(4, true)];
    expect(total % 4).toBe(0);
    expect(view.getUint32(total - 4, true)).toBe(total);
    const body = new DataView(file.buffer, file.byteOffset + at + 8, total - 12);
    let o = FIXED[type]!;
    if (type === 6) o += (body.getUint32(12, true) + 3) & ~3;
    const options = new Map<number, Uint8Array>();
    for (;;) {
      const [code, len] = [body.getUint16(o, true), body.getUint16(o + 2, true)];
      if (code === 0) break;
      options.set(code, new Uint8Array(body.buffer, body.byteOffset + o + 4, len));
      o += 4 + ((len + 3) & ~3);
    }
    expect(o + 4).toBe(body.byteLength);
    blocks.push({ type, body, options });
    at += total;
  }
  return blocks;
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}

interface Packet {
  us: number;
  captured: Uint8Array;
  original: number;
  flags: number;
  comment: string | undefined;
}

function packets(file: Uint8Array): Packet[] {
  return parse(file)
    .filter((block) => block.type === 6)
    .map(({ body, options }) => ({
      us: body.getUint32(4, true) * 2 ** 32 + body.getUint32(8, true),
      captured: new Uint8Array(body.buffer, body.byteOffset + 20, body.getUint32(12, true)).slice(),
      original: body.getUint32(16, true),
      flags: new DataView(options.get(2)!.buffer, options.get(2)!.byteOffset).getUint32(0, true),
      comment: text(options.get(1)),
    }));
}

interface Setup {
  sim: SimWorld;
  traced: Link;
  other: Link;
  up: Upper;
  file(): Uint8Array;
}

function setup(options: Partial<PcapOptions> = {}, queueFrames = 100): Setup {
  const sim = new SimWorld();
  const effects = sim.effects('pcap');
  const [inner, other] = createPair(effects, { queueFrames });
  const chunks: Uint8Array[] = [];
  const traced = tracePcapng(inner, { write: (b) => chunks.push(b.slice()) }, { name: 'tap0', clock: effects.clock, ...options });
  open(other);
  return { sim, traced, other, up: open(traced), file: () => Uint8Array.from(chunks.flatMap((c) => [...c])) };
}

const [OUT, IN] = [2, 1];
const [UNICAST, BROADCAST] = [1 << 2, 3 << 2];

describe('pcapng', () => {
  it('begins with a section and the interface, its name and its clock', () => {
    const { file } = setup();
    const [shb, idb] = parse(file());
    expect([shb!.type, shb!.body.getUint32(0, true), shb!.body.getUint16(4, true)]).toEqual([0x0a0d0d0a, 0x1a2b3c4d, 1]);
    expect([idb!.type, idb!.body.getUint16(0, true), idb!.body.getUint32(4, true)]).toEqual([1, 1, 0]);
    expect(text(idb!.options.get(2))).toBe('tap0');
    expect([...idb!.options.get(9)!]).toEqual([6]);
  });

  it('writes both directions with their times', () => {
    const { sim, traced, other, up, file } = setup();
    const [query, answer] = [udpFrame(pattern(30)), udpFrame(pattern(1000))];
    query.set(MAC_ALL, 0);
    send(traced, query, { head: 42 });
    sim.run(12.5);
    send(other, answer);
    sim.run(1);
    expect(up.frames.map((f) => f.bytes)).toEqual([answer]);
    const start = Date.UTC(2025, 0, 1) * 1000;
    expect(packets(file())).toEqual([
      { us: start, captured: query, original: query.length, flags: OUT | BROADCAST, comment: undefined },
      { us: start + 12500, captured: answer, original: answer.length, flags: IN | UNICAST, comment: undefined },
    ]);
  });

  it('writes a super-frame as one packet of its full length, slices and all', () => {
    const { traced, file } = setup();
    const frame = tcpFrame({ version: 4, payload: pattern(65000), checksum: 'pseudo' });
    send(traced, frame, { flags: TX_TSO4, gsoSize: 1448, csumStart: 34, csumOffset: 16, head: 54, slices: [10000, 20001] });
    expect(packets(file())).toMatchObject([{ captured: frame, original: frame.length }]);
  });

  it('keeps no more of a frame than it is told', () => {
    const { sim, traced, other, file } = setup({ snapLen: 101 });
    const frame = udpFrame(pattern(500));
    send(traced, frame, { head: 60, slices: [20] });
    send(other, frame);
    sim.run(1);
    const short = { captured: frame.slice(0, 101), original: frame.length };
    expect(packets(file())).toMatchObject([short, short]);
    expect(parse(file())[1]!.body.getUint32(4, true)).toBe(101);
  });

  it('says what was refused and what was lost', () => {
    const { sim, traced, up, file } = setup({}, 2);
    traced.setUp(false);
    expect(send(traced, udpFrame(pattern(1)))).toBe('ENETDOWN');
    traced.setUp(true);
    for (let i = 0; i < 5; i++) put(traced, udpFrame(pattern(1)));
    traced.flush();
    sim.run(1);
    traced.stop();
    expect(packets(file())[0]!.comment).toBe('not sent: ENETDOWN');
    const statistics = parse(file()).filter((block) => block.type === 5);
    expect(statistics.map((block) => text(block.options.get(1)))).toEqual(['3 lost: oqdrops', 'end of trace']);
    expect([...statistics[1]!.options.get(5)!]).toEqual([3, 0, 0, 0, 0, 0, 0, 0]);
    expect(up.lost).toEqual({ oqdrops: 3 });
  });

  it('names raw IP as the link type where there is no link header', () => {
    const effects = new SimWorld().effects('lo');
    const chunks: Uint8Array[] = [];
    tracePcapng(createLo(effects), { write: (b) => chunks.push(b.slice()) }, { name: 'lo0', clock: effects.clock });
    expect(parse(chunks[1]!)[0]!.body.getUint16(0, true)).toBe(101);
  });

  const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0;
  it.skipIf(!hasTcpdump)(`is what tcpdump reads${hasTcpdump ? '' : ' (skipped: no tcpdump command)'}`, () => {
    const { sim, traced, other, file } = setup();
    send(traced, tcpFrame({ version: 4, payload: pattern(100) }));
    send(other, udpFrame(pattern(60), 6));
    sim.run(1);
    traced.stop();
    const dir = mkdtempSync(join(tmpdir(), 'netmod-pcap-'));
    writeFileSync(join(dir, 'trace.pcapng'), file());
    const { stdout, stderr, status } = spawnSync('tcpdump', ['-nvr', join(dir, 'trace.pcapng')], { encoding: 'utf8' });
    rmSync(dir, { recursive: true });
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/10\.0\.0\.2\.80 > 10\.0\.0\.1\.4000: .*cksum 0x[0-9a-f]{4} \(correct\).*length 100/);
    expect(stdout).toMatch(/2001:db8::2\.7 > 2001:db8::1\.5000: \[udp sum ok\] UDP, length 60/);
  });
});
