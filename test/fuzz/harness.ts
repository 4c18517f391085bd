/**
 * A stack under fire: one kernel with echo servers behind a link that the test holds, a peer that can be joined to it, and a run of
 * mutated frames between two proofs that it works. In virtual time, by a seed: a failure names the seed and the frame's number.
 */
import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import { expect } from 'vitest';
import { SimRandom, SimWorld } from '../../src/kern/effects/sim.ts';
import { isErrno } from '../../src/kern/errno.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { soaccept, sobind, soclose, socreate, solisten } from '../../src/kern/socket/calls.ts';
import { soreceive, soreceivefrom, sosend, sosendto } from '../../src/kern/socket/sendrecv.ts';
import { SocketHandler } from '../../src/kern/socket/handler.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '../../src/kern/socket/protosw.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { Host, World, at, ok, pattern } from '../conformance/world.ts';
import { netmodModule as tinyModule } from '../conformance/tinystack/tiny.ts';
import { HandLink } from '../support/handlink.ts';
import { ifconfig } from '../support/ifconfig.ts';
import { HOST_MAC, STACK_MAC, echo, ip, validFrames } from './frames.ts';
import { mutant } from './mutate.ts';

const ECHO_PORT = 7;
/** Frames in one batch of the link, and between steps of virtual time. */
const BATCH = 8;

class TcpEcho extends SocketHandler {
  readonly #buf = new Uint8Array(16384);
  readonly #open = new Set<Socket>();

  override accept(head: Socket): void {
    for (let so = soaccept(head); !isErrno(so); so = soaccept(head)) {
      this.#open.add(so);
      this.readable(so);
    }
  }

  /** Ends all connections: those whose peer is gone would stay for ever. */
  closeAll(): void {
    for (const so of this.#open) this.#close(so);
  }

  #close(so: Socket): void {
    this.#open.delete(so);
    soclose(so);
  }

  override readable(so: Socket): void {
    for (;;) {
      const room = so.snd.space();
      if (room === 0) return;
      const n = soreceive(so, this.#buf, 0, Math.min(room, this.#buf.length), 0);
      if (n === 'EAGAIN') return;
      if (isErrno(n) || n === 0) {
        this.#close(so);
        return;
      }
      if (isErrno(sosend(so, this.#buf, 0, n))) {
        this.#close(so);
        return;
      }
    }
  }

  override writable(so: Socket): void {
    this.readable(so);
  }

  override closed(so: Socket): void {
    this.#close(so);
  }
}

class UdpEcho extends SocketHandler {
  readonly #buf = new Uint8Array(65536);

  override readable(so: Socket): void {
    for (;;) {
      const got = soreceivefrom(so, this.#buf, 0, this.#buf.length, 0);
      if (isErrno(got)) {
        if (got === 'EAGAIN') return;
        continue;
      }
      if (got.from !== null) sosendto(so, this.#buf, 0, got.n, got.from);
    }
  }
}

export class Range {
  readonly sim: SimWorld;
  readonly kernel: Kernel;
  readonly link = new HandLink(STACK_MAC.slice());
  readonly rng: SimRandom;
  readonly corpus: Uint8Array[];
  readonly echo = new TcpEcho();
  /** Frames put in. */
  injected = 0;
  /** What the stack sent since this was last emptied; the newest 64. */
  readonly sent: Uint8Array[] = [];
  #peer: { world: World; link: HandLink; on: boolean } | null = null;

  constructor(module: ModuleSpec, seed: number) {
    this.sim = new SimWorld({ seed });
    this.rng = new SimRandom(seed, 'fuzz');
    this.corpus = validFrames(ECHO_PORT);
    this.kernel = new Kernel(this.sim.effects('target'));
    const err = this.kernel.modules.preload(module) ?? this.kernel.boot();
    if (err !== null) throw new Error(err.message);
    ifconfig(this.kernel, ok(this.kernel.ifnets.attach('hand', 0, this.link.link())), '10.0.0.2/24');
    this.link.onSend = (frame) => {
      if (this.sent.push(frame) > 64) this.sent.shift();
      const peer = this.#peer;
      if (peer?.on) this.sim.after(0.1, () => peer.link.inject(frame));
    };
    const tcp = ok(socreate(this.kernel, AF_INET, SOCK_STREAM, 0, null));
    tcp.handler = this.echo;
    expect(sobind(tcp, at('0.0.0.0', ECHO_PORT)) ?? solisten(tcp, 64)).toBeNull();
    const udp = ok(socreate(this.kernel, AF_INET, SOCK_DGRAM, 0, null));
    udp.handler = new UdpEcho();
    expect(sobind(udp, at('0.0.0.0', ECHO_PORT))).toBeNull();
  }

  /** A peer on the other end of the link; `capture` sees what it sends. Ends with `disjoin`. */
  join(capture: (frame: Uint8Array) => void = () => undefined): World {
    const kernel = new Kernel(this.sim.effects(`peer${this.injected}`));
    const err = kernel.modules.preload(tinyModule) ?? kernel.boot();
    if (err !== null) throw new Error(err.message);
    const link = new HandLink(HOST_MAC.slice());
    link.onSend = (frame) => {
      capture(frame);
      if (this.#peer?.on) this.sim.after(0.1, () => this.link.inject(frame));
    };
    const ifp = ok(kernel.ifnets.attach('hand', 0, link.link()));
    ifconfig(kernel, ifp, '10.0.0.1/24');
    const a = new Host('peer', kernel, ifp, '10.0.0.1');
    const b = new Host('target', this.kernel, this.kernel.ifnets.byName('hand0')!, '10.0.0.2');
    this.#peer = { world: new World(this.sim, a, b), link, on: true };
    return this.#peer.world;
  }

  disjoin(): void {
    if (this.#peer === null) return;
    this.#peer.on = false;
    this.#peer.world.a.kernel.shutdown();
    this.#peer = null;
  }

  /** Ping, datagram echo, and a stream echoed byte by byte. Frames on the way go to `capture`. */
  proveAlive(bytes: number, capture?: (frame: Uint8Array) => void): void {
    const w = this.join(capture);
    const ping = ip(1, echo(77, this.injected & 0xffff, 100));
    const want = ping.subarray(38);
    const udp = w.a.udp(4242);
    const echoed = (): boolean => {
      w.sendTo(udp, pattern(500), at('10.0.0.2', ECHO_PORT));
      return this.sim.runUntil(() => udp.rcv.record() !== null, 1_000);
    };
    // The peer asks for the stack's hardware address, and so the stack learns the peer's again.
    const first = echoed() || echoed() || echoed();
    expect(first, 'echo of a datagram').toBe(true);
    expect(w.datagram(udp)).toMatchObject({ bytes: pattern(500), from: '10.0.0.2:7' });
    this.sent.length = 0;
    this.link.inject(ping);
    this.sim.run(10);
    const pong = this.sent.some((f) => f[23] === 1 && f[34] === 0 && Buffer.compare(f.subarray(38), want) === 0);
    expect(pong, 'answer to a ping').toBe(true);
    const tcp = w.a.tcp();
    expect(tcp.methods.connect(tcp, at('10.0.0.2', ECHO_PORT))).toBeNull();
    w.transfer(tcp, tcp, pattern(bytes), 600_000);
    w.close(tcp);
    this.sim.run(5_000);
    this.disjoin();
  }

  /** Puts `frames` mutants in. Every few thousand a peer talks for a moment, so that mutants of a live connection are among them. */
  fire(frames: number): void {
    const live: Uint8Array[] = [];
    const batch: Uint8Array[] = [];
    let hasPeer: Socket | null = null;
    let w: World | null = null;
    for (let i = 0; i < frames; i++) {
      if (i % 5_000 === 0) {
        this.disjoin();
        live.length = 0;
        w = this.join((f) => void (live.push(f) > 40 && live.shift()));
        hasPeer = w.a.tcp();
        hasPeer.methods.connect(hasPeer, at('10.0.0.2', ECHO_PORT));
        this.sim.run(500);
        sosend(hasPeer, pattern(1000), 0, 1000);
        this.sim.run(50);
      }
      if (hasPeer !== null && w !== null && i % 500 === 0) {
        sosend(hasPeer, pattern(300), 0, 300);
        this.sim.run(2);
      }
      const from = live.length > 0 && this.rng.below(2) === 0 ? live : this.corpus;
      batch.push(mutant(from, this.rng));
      if (batch.length < BATCH) continue;
      this.#inject(batch, i);
      batch.length = 0;
      if (i % 64 < BATCH) this.sim.run(this.rng.below(40) === 0 ? 2_000 : 3);
    }
    this.#inject(batch, frames);
    this.disjoin();
  }

  #inject(batch: Uint8Array[], i: number): void {
    try {
      this.link.inject(...batch);
    } catch (err) {
      const hex = batch.map((f) => Buffer.from(f).toString('hex')).join('\n');
      throw new Error(`thrown by one of the frames up to ${i}: ${(err as Error).stack}\n${hex}`, { cause: err });
    }
    this.injected += batch.length;
  }

  /** Counters of the protocols: everything but the interfaces'. */
  protocolSum(): number {
    let sum = 0;
    for (const [group, counters] of Object.entries(this.kernel.counters.snapshot())) {
      if (group.startsWith('if.')) continue;
      for (const value of Object.values(counters)) sum += value;
    }
    return sum;
  }
}

/** Bytes of heap in use, after a collection. */
export function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
