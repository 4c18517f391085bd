/** AccECN (RFC 9768), the sender: what it makes of the feedback, and what it does about paths that tamper with it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ACE, SACK, CE, ECT0, boot, served, t } from './accecn-peer.ts';

beforeEach(() => boot(3));
afterEach(() => t.close());

describe('the sender', () => {
  it('answers marks once in a round trip, and never says CWR', () => {
    const p = served();
    p.write(40_000);
    p.recvAll();
    const { snd_cwnd } = p.info();
    p.send({ ack: 1001, flags: ACE[6] });
    p.send({ ack: 2001, flags: ACE[7] });
    p.send({ ack: 3001, flags: ACE[0] });
    expect(p.info()).toMatchObject({ delivered_ce: 3 });
    expect(p.info().snd_cwnd).toBeLessThanOrEqual(0.85 * snd_cwnd + 1000);
    expect(t.stat('ecn_rcwnd')).toBe(1);
    p.send({ ack: 10_001, flags: ACE[0] });
    const sent = p.recvAll();
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.every((s) => s.flags.replace('P', '') === ACE[5] && s.tos === ECT0)).toBe(true);
    p.send({ ack: (sent.at(-1)?.seq ?? 0) + 1000, flags: ACE[1] });
    expect(t.stat('ecn_rcwnd')).toBe(2);
  });

  it('appendix A.1: an ACK that was overtaken says nothing', () => {
    const p = served();
    p.write(40_000);
    p.recvAll();
    p.send({ ack: 3001, flags: ACE[5] });
    p.send({ ack: 2001, flags: ACE[7] });
    p.send({ ack: 3001, flags: ACE[6] });
    expect([p.info().delivered_ce, t.stat('ecn_rcwnd')]).toEqual([0, 0]);
  });

  it('with timestamps a later ACK without progress counts', () => {
    const p = served({ flags: ACE[2] }, { ...SACK, ts: [1, 0] });
    p.write(40_000);
    p.recvAll();
    t.run(10);
    p.send({ ack: 1, flags: ACE[6] });
    expect(p.info().delivered_ce).toBe(1);
  });

  it('of two such ACKs with one timestamp only the first counts: which was sent first nobody knows', () => {
    const p = served({ flags: ACE[2] }, { ...SACK, ts: [1, 0] });
    p.write(40_000);
    p.recvAll();
    t.run(10);
    p.send({ ack: 1, flags: ACE[6] });
    p.send({ ack: 1, flags: ACE[5] });
    expect(p.info().delivered_ce).toBe(1);
  });

  it('§3.2.2.5.2: ten segments at once, and no option: ACE may have gone round', () => {
    const p = served();
    p.write(10_000);
    p.recvAll();
    p.send({ ack: 10_001, flags: ACE[6] });
    expect(p.info().delivered_ce).toBe(9);
  });

  it('a peer whose ACKs always stand for many segments is not taken to mean that', () => {
    const p = served();
    p.write(400_000);
    let una = 1;
    for (let i = 0; i < 6; i++) {
      const sent = p.recvAll();
      una = Math.max(...sent.map((s) => s.seq + s.data.length));
      p.send({ ack: una, flags: ACE[5] });
    }
    const { delivered_ce } = p.info();
    p.send({ ack: Math.max(...p.recvAll().map((s) => s.seq + s.data.length)), flags: ACE[5] });
    expect(p.info().delivered_ce).toBe(delivered_ce);
  });

  it.each([
    ['no bytes', 0, 1],
    ['as many as one segment', 1000, 1],
    ['as many as nine', 9000, 9],
  ])('with the option the bytes tell: %s', (_, ceb, packets) => {
    const p = served({ flags: ACE[2], opts: { accecn: [0, 1, 0, 1] } });
    p.write(10_000);
    p.recvAll();
    p.send({ ack: 10_001, flags: ACE[6], opts: { accecn: [0, 10_001 - ceb, ceb] } });
    expect(p.info()).toMatchObject({ delivered_ce: packets, delivered_ce_bytes: ceb, delivered_e0_bytes: 10_000 - ceb });
  });

  it.each([
    [[0, 501]],
    [[0, 501, 300]],
    [[0, 501, 300, 201]],
    [[1, 201]],
    [[1, 201, 300]],
    [[1, 201, 300, 501]],
    [[0]],
    [[1]],
  ] as const)('takes options of any length and order: %j', (accecn) => {
    const p = served();
    p.write(1000);
    p.recvAll();
    p.send({ ack: 1001, flags: ACE[6], opts: { accecn: accecn as readonly [number, ...number[]] } });
    const [order, ...fields] = accecn;
    const [first = 1, ceb = 0, third = 1] = fields;
    const [e0, e1] = order === 0 ? [first, third] : [third, first];
    expect(p.info()).toMatchObject({ delivered_e0_bytes: e0 - 1, delivered_ce_bytes: ceb, delivered_e1_bytes: e1 - 1 });
  });

  it('24 bits go round', () => {
    const p = served();
    p.write(3000);
    p.recvAll();
    p.send({ ack: 1001, flags: ACE[5], opts: { accecn: [0, 0xffff00] } });
    p.send({ ack: 2001, flags: ACE[5], opts: { accecn: [0, 0x000100] } });
    expect(p.info().delivered_e0_bytes).toBe(0x1000100 - 1);
  });

  it('§3.2.3.2.4: an option whose counters began at 0 is not believed', () => {
    const p = served({ flags: ACE[2], opts: { accecn: [0, 0, 0, 0] } });
    p.write(1000);
    p.recvAll();
    p.send({ ack: 1001, flags: ACE[5], opts: { accecn: [0, 0, 1000, 0] } });
    expect(p.info().delivered_ce_bytes).toBe(0);
  });

  it('§3.2.3.2.4: a peer whose options are not believed may have gone round, as one without them', () => {
    const p = served({ flags: ACE[2], opts: { accecn: [0, 0, 0, 0] } });
    p.write(10_000);
    p.recvAll();
    p.send({ ack: 10_001, flags: ACE[6] });
    expect(p.info().delivered_ce).toBe(9);
  });

  it('§3.2.3.2.5: bytes with CE and no packet: the feedback is forged, nothing is marked any more', () => {
    const p = served({ flags: ACE[2], opts: { accecn: [0, 1, 0, 1] } });
    p.write(20_000);
    p.recvAll();
    p.send({ ack: 1001, flags: ACE[5], opts: { accecn: [0, 1001, 0] } });
    p.send({ ack: 2001, flags: ACE[5], opts: { accecn: [0, 1001, 1000] } });
    expect(t.stat('ace_mangled')).toBe(1);
    expect(p.recvAll().every((s) => s.seq < 13_001 || s.tos === 0)).toBe(true);
    p.write(1000);
    p.send({ ack: 10_001, flags: ACE[5] });
    expect(p.recvAll().at(-1)?.tos).toBe(0);
  });

  it('§3.2.3.2.5: of small segments there may have been eight: then ACE went round', () => {
    const p = served({ flags: ACE[2], opts: { accecn: [0, 1, 0, 1] } });
    p.setopt(6, 1, 1);
    for (let i = 0; i < 9; i++) p.write(100);
    p.recvAll();
    p.send({ ack: 101, flags: ACE[5], opts: { accecn: [0, 101, 0] } });
    p.send({ ack: 901, flags: ACE[5], opts: { accecn: [0, 101, 800] } });
    expect([p.info().delivered_ce, t.stat('ace_mangled')]).toEqual([8, 0]);
  });

  it('§3.2.2.3: round trips in which every packet is marked are no congestion: nothing is marked, no feedback believed', () => {
    const p = served();
    p.write(200_000);
    let ace = 5;
    let una = 1;
    for (let round = 0; round < 8; round++) {
      for (const s of p.recvAll()) {
        if (s.data.length === 0) continue;
        ace = (ace + 1) & 7;
        una = s.seq + s.data.length;
        p.send({ ack: una, flags: ACE[ace] as string });
      }
    }
    expect(t.stat('ace_ignored')).toBe(1);
    const lowered = t.stat('ecn_rcwnd');
    const sent = p.recvAll();
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.at(-1)?.tos).toBe(0);
    p.send({ ack: una + 1000, flags: ACE[(ace + 1) & 7] as string });
    expect(t.stat('ecn_rcwnd')).toBe(lowered);
  });

  it('no super-frames while the counter has the bit of CWR: the link would cut it off all but the first', () => {
    t.close();
    boot(3, { offload: true });
    const p = served();
    p.write(10_000);
    expect(p.recvAll().map((s) => s.gsoSize)).toEqual([1000]);
    p.sendData(1000, { flags: ACE[5], tos: CE, ack: 10_001 });
    p.recvAll();
    p.write(10_000);
    const sent = p.recvAll();
    expect(sent.length).toBeGreaterThan(3);
    expect(sent.every((s) => s.gsoSize === 0 && s.flags.includes('CN'))).toBe(true);
  });
});
