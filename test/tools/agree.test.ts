/**
 * `ss -ti` says what a capture of the same connection shows: bytes each way, segment size, round trip, segments sent again, a window that
 * fits what was in flight.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { CapturedFrame, TcpPcb } from '../../src/client/types.ts';
import { get16, get32 } from '../../src/wire/bytes.ts';
import { Lab, type StackName, acknowledged, bytes, eventually } from './support.ts';

/** A segment of the capture, numbers relative to the connection's first of that direction. */
interface Seen {
  readonly out: boolean;
  readonly at: number;
  readonly seq: number;
  readonly ack: number;
  readonly len: number;
  readonly syn: boolean;
}

const ETHER = 14;

function readSegments(frames: readonly CapturedFrame[]): Seen[] {
  const first = new Map<boolean, number>();
  return frames.map(({ data, dir, ts }) => {
    const tcp = ETHER + ((data[ETHER]! & 15) << 2);
    const out = dir === 'out';
    const syn = (data[tcp + 13]! & 2) !== 0;
    const seq = get32(data, tcp + 4);
    if (syn) first.set(out, (seq + 1) | 0);
    return {
      out,
      syn,
      at: ts * 1000,
      seq: (seq - (first.get(out) ?? 0)) | 0,
      ack: (get32(data, tcp + 8) - (first.get(!out) ?? 0)) | 0,
      len: get16(data, ETHER + 2) - (tcp - ETHER) - ((data[tcp + 12]! >>> 4) << 2),
    };
  });
}

/** What the sender of a capture must believe when all is acknowledged. */
function summary(segments: readonly Seen[]): {
  acked: number;
  received: number;
  mss: number;
  again: number;
  /** SYNs, without the first. */
  synAgain: number;
  flight: number;
  rttMs: number;
} {
  const result = { acked: 0, received: 0, mss: 0, again: 0, synAgain: -1, flight: 0, rttMs: Infinity };
  let end = 0;
  const sentAt = new Map<number, number>();
  for (const { out, at, seq, ack, len, syn } of segments) {
    if (syn && out) result.synAgain++;
    if (syn) continue;
    if (!out) {
      result.received = Math.max(result.received, seq + len);
      result.acked = Math.max(result.acked, ack);
      const sent = sentAt.get(ack);
      if (sent !== undefined) result.rttMs = Math.min(result.rttMs, at - sent);
    } else if (len > 0) {
      if (seq < end) result.again++;
      else sentAt.set(seq + len, at);
      end = Math.max(end, seq + len);
      result.mss = Math.max(result.mss, len);
      result.flight = Math.max(result.flight, end - result.acked);
    }
  }
  return result;
}

const SIZE = 400_000;
const DELAY_MS = 5;

describe.each(['inet', 'alt'] satisfies StackName[])('ss -ti and a capture on %s', (stack) => {
  let lab: Lab;
  afterEach(() => lab.close());

  async function transfer(lossPercent: number): Promise<{ pcb: TcpPcb; seen: ReturnType<typeof summary> }> {
    lab = await Lab.open(stack, { delayMs: DELAY_MS, lossPercent });
    // Frames of one segment each, so that the capture and TCP count alike.
    expect((await lab.sh('ifconfig tap0 -tso')).status).toBe(0);
    const watcher = await lab.client();
    const frames: CapturedFrame[] = [];
    const stream = watcher.capture({ interface: 'tap0', proto: 'tcp', port: 80 }).start();
    const watching = (async () => {
      for await (const frame of stream) frames.push(frame);
    })();
    const host = await lab.client(1);
    const fd = await host.socket('inet', 'stream');
    await host.connect(fd, { addr: '10.0.0.2', port: 80 });
    await host.send(fd, bytes(`GET /bytes/${SIZE} HTTP/1.1\r\nHost: x\r\n\r\n`));
    for (let got = 0; got < SIZE;) {
      const part = await host.recv(fd, 1 << 18);
      expect(part.length).toBeGreaterThan(0);
      got += part.length;
    }
    await acknowledged(lab);
    const [pcb] = await lab.json<TcpPcb[]>('ss -ti state established sport = :80');
    // The last frames are on their way through the control socket.
    const seen = (): ReturnType<typeof summary> => summary(readSegments(frames));
    await eventually(() => seen().acked >= pcb!.info!.bytes_acked);
    stream.cancel();
    await watching;
    expect(stream.lost).toBe(0);
    return { pcb: pcb!, seen: seen() };
  }

  it('agree on a clean wire', async () => {
    const { pcb, seen } = await transfer(0);
    const info = pcb.info!;
    expect(seen.acked).toBeGreaterThan(SIZE);
    expect({ acked: info.bytes_acked, received: info.bytes_received }).toEqual({ acked: seen.acked, received: seen.received });
    expect(info.snd_mss).toBe(seen.mss);
    // Time is the machine's: where it stalls, a segment may be sent twice on a clean wire, and then both know of it.
    expect(info.total_retrans).toBeGreaterThanOrEqual(seen.again);
    expect(info.total_retrans).toBeLessThanOrEqual(seen.again + seen.synAgain);
    expect(info.unacked).toBe(0);
    expect(seen.rttMs).toBeGreaterThanOrEqual(2 * DELAY_MS - 1);
    expect(info.rtt / 1000).toBeGreaterThanOrEqual(2 * DELAY_MS - 1);
    expect(info.rtt / 1000).toBeLessThan(20 * seen.rttMs);
    expect(info.rto).toBeGreaterThan(info.rtt);
    // What was in flight, the window allowed.
    expect(info.snd_cwnd + info.snd_mss).toBeGreaterThanOrEqual(seen.flight);
    const [text] = (await lab.sh('ss -tiH state established')).out.split('\n').slice(1);
    expect(text).toContain(`bytes_acked:${seen.acked} bytes_received:${seen.received}`);
    expect(text).toContain(` mss:${seen.mss} `);
  });

  it('agree on what was sent again where frames are lost', async () => {
    const { pcb, seen } = await transfer(5);
    const info = pcb.info!;
    expect({ acked: info.bytes_acked, received: info.bytes_received }).toEqual({ acked: seen.acked, received: seen.received });
    expect(seen.again).toBeGreaterThan(0);
    // A stack may count its SYN with the connection, or with the listener.
    expect(info.total_retrans).toBeGreaterThanOrEqual(seen.again);
    expect(info.total_retrans).toBeLessThanOrEqual(seen.again + seen.synAgain);
    expect((await lab.sh('ss -ti state established')).out).toContain(` retrans:0/${info.total_retrans}`);
    // Loss has brought the window down from what it was.
    expect(info.snd_ssthresh).toBeLessThan(SIZE);
  });
});
