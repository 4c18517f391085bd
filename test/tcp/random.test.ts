/**
 * Two ends, a wire that loses, reorders, duplicates and delays, and users that write and read at random; exact bytes both ways, and
 * both connections over at the end. Each case is its seed.
 */
import { sorcvlimits, sosndlimits } from '../../src/kern/socket/sobuf.ts';
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../src/kern/effects/sim.ts';
import { isErrno } from '../../src/kern/errno.ts';
import { soclose, soshutdown } from '../../src/kern/socket/calls.ts';
import { soreceive, sosend } from '../../src/kern/socket/sendrecv.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { netmodModule } from '../../src/stacks/inet/module.ts';
import { type WorldOptions, makeWorld, pattern, stopWorld } from '../conformance/world.ts';
import { impaired } from '../conformance/wires.ts';

/** A user who writes `total` bytes and reads what comes, in pieces and with pauses. */
class User {
  readonly so: Socket;
  readonly out: Uint8Array;
  readonly inn: number[] = [];
  readonly random: SimRandom;
  sent = 0;
  ended = false;
  shut = false;
  failure: string | null = null;

  constructor(so: Socket, out: Uint8Array, random: SimRandom) {
    this.so = so;
    this.out = out;
    this.random = random;
  }

  turn(): void {
    const { random, so } = this;
    for (let i = random.below(4); i > 0 && this.sent < this.out.length; i--) {
      const len = Math.min(this.out.length - this.sent, 1 + random.below(random.below(3) === 0 ? 50_000 : 900));
      const n = sosend(so, this.out, this.sent, len);
      if (n === 'EAGAIN') break;
      if (isErrno(n)) {
        this.failure = n;
        return;
      }
      this.sent += n;
    }
    if (this.sent === this.out.length && !this.shut) {
      this.shut = true;
      soshutdown(so, 'wr');
    }
    if (random.below(3) === 0 || this.ended) return;
    const buf = new Uint8Array(1 + random.below(40_000));
    const n = soreceive(so, buf, 0, buf.length, 0);
    if (n === 'EAGAIN') return;
    if (isErrno(n)) {
      this.failure = n;
      return;
    }
    if (n === 0) this.ended = true;
    for (let i = 0; i < n; i++) this.inn.push(buf[i] as number);
  }
}

const WIRES: Readonly<Record<string, WorldOptions>> = {
  clean: {},
  loss: { wrap: impaired({ lossPercent: 5 }) },
  everything: { wrap: impaired({ lossPercent: 3, reorderPercent: 10, duplicatePercent: 5, delayMs: 10, jitterMs: 15 }) },
  corrupt: { offload: false, wrap: impaired({ corruptPercent: 3, lossPercent: 1 }) } as WorldOptions,
  jumbo: { mtu: 9000, wrap: impaired({ lossPercent: 2, reorderPercent: 5 }) },
  tiny: { mtu: 576, wrap: impaired({ lossPercent: 3, duplicatePercent: 3 }) },
};

describe.each(Object.entries(WIRES))('%s', (_name, options) => {
  it.each([1, 2, 3, 4, 5, 6])('seed %i', (seed) => {
    const w = makeWorld(
      () => netmodModule,
      () => netmodModule,
      { ...options, seed },
    );
    const random = new SimRandom(seed, 'users');
    const { client, server, listener } = w.connected();
    const a = new User(client, pattern(20_000 + random.below(400_000), seed), random);
    const b = new User(server, pattern(20_000 + random.below(400_000), seed + 1), random);
    // Small buffers now and then: windows close.
    if (random.below(2) === 0) {
      sorcvlimits(server, 20_000, 1);
      sosndlimits(client, 20_000, 2048);
    }
    for (let i = 0; i < 400_000 && !(a.ended && b.ended); i++) {
      a.turn();
      b.turn();
      w.run(1 + random.below(5));
      expect([a.failure, b.failure]).toEqual([null, null]);
    }
    expect([a.ended, b.ended]).toEqual([true, true]);
    expect(Buffer.compare(Uint8Array.from(a.inn), b.out)).toBe(0);
    expect(Buffer.compare(Uint8Array.from(b.inn), a.out)).toBe(0);
    soclose(client);
    soclose(server);
    soclose(listener);
    w.run(300_000);
    for (const { kernel } of [w.a, w.b]) {
      expect(kernel.counters.get('tcp', 'badstate')).toBe(0);
      expect(kernel.netstack.current.busy()).toBe(false);
      expect(kernel.bufpool.used).toBe(0);
    }
    stopWorld(w);
  });
});
