/** Peers that speak AccECN (RFC 9768) in the handshake, for its tests. `t` is the present test's stack, made by `boot`. */
import { expect } from 'vitest';
import { soaccept } from '../../src/kern/socket/calls.ts';
import type { SegmentOptions } from '../support/segments.ts';
import { type HarnessOptions, type Peer, type Say, TcpHarness, ok } from './harness.ts';

export const ECT1 = 1;
export const ECT0 = 2;
export const CE = 3;
/** Flags of an ACK by the value of ACE: E is 1, C is 2, N (AE) is 4. */
export const ACE = ['A', 'AE', 'AC', 'AEC', 'AN', 'AEN', 'ACN', 'AECN'] as const;

export let t: TcpHarness;
export function boot(enable: number, options: HarnessOptions = {}): void {
  t = new TcpHarness(options);
  t.sysctl('ecn.enable', enable);
}
export const SACK: SegmentOptions = { mss: 1000, sackPermitted: true };

/** A listener's answer to a SYN with these flags. */
export function asked(flags: string, tos = 0, opts: SegmentOptions = SACK): Peer {
  const head = t.listen();
  const p = t.peer();
  p.listener = head;
  p.send({ flags, seq: 0, opts: p.withTs(opts), tos });
  const got = t.next();
  if (got === null) throw new Error('no SYN,ACK');
  p.irs = got.seg.seq;
  p.syn = got.seg;
  p.takeTs(got.seg);
  p.nxt = 1;
  return p;
}

/** ESTABLISHED as a server; the client's ACK has `ace`. */
export function served(say: Say = { flags: ACE[2] }, opts: SegmentOptions = SACK): Peer {
  const p = asked('SECN', 0, opts);
  expect(p.syn?.flags).toBe('SAC');
  p.send({ ack: 1, ...say });
  p.so = ok(soaccept(p.listener as NonNullable<Peer['listener']>));
  return p;
}

/** ESTABLISHED as a client. */
export function client(flags = 'SAC', tos = 0, opts: SegmentOptions = SACK): Peer {
  const p = t.synSent();
  expect(p.syn?.flags).toBe('SECN');
  p.send({ flags, seq: 0, ack: 1, opts, tos });
  p.nxt = 1;
  return p;
}
