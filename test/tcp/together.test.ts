/**
 * What was built apart, working together over a bad network (netmod/sim): ECN, fast open, function blocks that change in mid-transfer, paths that
 * swallow full segments, buffers that grow. Every byte arrives, both ways, and nothing is left.
 */
import { describe, expect, it } from 'vitest';
import { isErrno } from '../../src/kern/errno.ts';
import { soaccept, sobind, soclose, socreate, solisten, soshutdown } from '../../src/kern/socket/calls.ts';
import { soreceive, sosend, sosendconnect } from '../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_STREAM } from '../../src/kern/socket/protosw.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import type { CableOptions } from '../../src/sim/cable.ts';
import { Simulation } from '../../src/sim/simulation.ts';
import { sockAddr } from '../../src/wire/addr.ts';
import { parseAddr } from '../../src/wire/addrtext.ts';
import { bytes, ok } from './harness.ts';

const TCP = 6;
const TCP_FASTOPEN = 1025;
const TCP_FUNCTION_BLK = 8192;
const PORT = 80;
const TOTAL = 400_000;

const CABLES: Readonly<Record<string, CableOptions>> = {
  'a clean cable, 20 ms': { delayMs: 10 },
  '2 % loss, 20 ms': { delayMs: 10, lossPercent: 2 },
  '5 % loss, reordered and duplicated, 4 ms': { delayMs: 2, lossPercent: 5, jitterMs: 3, duplicatePercent: 1, reorderPercent: 5 },
  'a path of 1300 bytes that says nothing': { delayMs: 5, mtu: 1300 },
};

/** A stream is echoed from end to end; in the middle of it the client's block changes, over and over.. */
function echo(seed: number, cable: CableOptions, switching: boolean): { sim: Simulation; stat: (name: string) => number } {
  const sim = new Simulation({ seed });
  const env = { 'net.inet.tcp.ecn.enable': '1', 'net.inet.tcp.fastopen.server_enable': '1' };
  const a = sim.host('a', { stack: 'inet', env });
  const b = sim.host('b', { stack: 'inet', env });
  sim.link(a, b, cable);
  const head = ok(socreate(b.kernel, AF_INET, SOCK_STREAM, 0, null));
  const fast = { dir: 'set', level: TCP, name: TCP_FASTOPEN, value: 1 } as const;
  expect(sobind(head, sockAddr(parseAddr('0.0.0.0')!, PORT))).toBeNull();
  expect(sosetopt(head, fast)).toBeNull();
  expect(solisten(head, 64)).toBeNull();
  const data = bytes(TOTAL, seed);
  const buf = new Uint8Array(65_536);

  // Twice: the first connection brings the cookie home.
  for (const total of [1000, TOTAL]) {
    const so: Socket = ok(socreate(a.kernel, AF_INET, SOCK_STREAM, 0, null));
    expect(sosetopt(so, fast)).toBeNull();
    let sent = ok(sosendconnect(so, data, 0, 500, sockAddr(parseAddr(b.address)!, PORT)));
    let server: Socket | null = null;
    let pending = new Uint8Array(0);
    let got = 0;
    let ended = false;
    let shut = false;
    let turns = 0;
    const step = (): boolean => {
      if (server === null) {
        const next = soaccept(head);
        if (!isErrno(next)) server = next;
      }
      if (sent < total) {
        const n = sosend(so, data, sent, Math.min(total - sent, 65_536));
        if (!isErrno(n)) sent += n;
        else if (n !== 'EAGAIN') throw new Error(`client: ${n} after ${sent}`);
      } else if (!shut) {
        shut = true;
        expect(soshutdown(so, 'wr')).toBeNull();
      }
      if (server !== null) {
        if (pending.length === 0 && !ended) {
          const n = soreceive(server, buf, 0, buf.length, 0);
          if (n === 0) {
            ended = true;
            soshutdown(server, 'wr');
          } else if (!isErrno(n)) pending = buf.slice(0, n);
          else if (n !== 'EAGAIN') throw new Error(`server: ${n}`);
        }
        if (pending.length > 0) {
          const n = sosend(server, pending, 0, pending.length);
          if (!isErrno(n)) pending = pending.slice(n);
        }
      }
      const n = soreceive(so, buf, 0, buf.length, 0);
      if (n === 0) return true;
      if (isErrno(n)) {
        if (n !== 'EAGAIN' && n !== 'ENOTCONN') throw new Error(`client: ${n} after ${got} bytes back`);
        return false;
      }
      expect(Buffer.compare(buf.subarray(0, n), data.subarray(got, got + n))).toBe(0);
      got += n;
      if (switching && ++turns % 2 === 0) {
        const value = turns % 4 === 0 ? 'default' : 'classic';
        expect(sosetopt(so, { dir: 'set', level: TCP, name: TCP_FUNCTION_BLK, value })).toBeNull();
      }
      return false;
    };
    let done = false;
    for (let ms = 0; ms < 3_600_000 && !done; ms += 1) {
      done = step();
      if (!done) sim.run(1);
    }
    expect([done, got]).toEqual([true, total]);
    soclose(so);
    if (server !== null) soclose(server);
  }
  soclose(head);
  return { sim, stat: (name) => (a.kernel.counters.get('tcp', name) ?? 0) + (b.kernel.counters.get('tcp', name) ?? 0) };
}

describe.each(Object.entries(CABLES))('%s', (name, cable) => {
  it.each([1, 2, 3])('exact bytes both ways, seed %i', (seed) => {
    const { sim, stat } = echo(seed, cable, false);
    sim.run(3_600_000);
    for (const link of sim.cables()) link.cut();
    sim.run(3_600_000);
    expect(sim.leftovers()).toEqual([]);
    expect([stat('badstate'), stat('tfo_cookie') > 0, stat('ecn_sndect0') > 0]).toEqual([0, true, true]);
    if (cable.mtu !== undefined) expect(stat('pmtudblackhole')).toBeGreaterThan(0);
    // A cookie came home, and nothing was in the way of using it.
    if (name.startsWith('a clean')) expect([stat('tfo_passive'), stat('tfo_accepted')]).toEqual([1, 1]);
  });

  it.each([4, 5])('the function block changes again and again, seed %i', (seed) => {
    const { stat } = echo(seed, cable, true);
    expect(stat('fbswitched')).toBeGreaterThan(3);
  });
});
