/** No stack at all: the defaults, and what the kernel does by itself. */
import { describe, expect, it } from 'vitest';
import { createPair } from '../../src/driver/pair.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { SIOCGIFMTU } from '../../src/kern/ifnet/ifioctl.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { Proc } from '../../src/kern/proc/proc.ts';
import { AF_INET, AF_INET6, AF_LOCAL, SOCK_STREAM } from '../../src/kern/socket/protosw.ts';
import { at, ok, pattern } from './world.ts';

describe('conformance: no stack', () => {
  const boot = (): { sim: SimWorld; kernel: Kernel; proc: Proc } => {
    const sim = new SimWorld();
    const kernel = new Kernel(sim.effects('a'));
    expect(kernel.boot()).toBeNull();
    return { sim, kernel, proc: new Proc(kernel) };
  };

  it('every method of the slot has its typed default', () => {
    const { current, name } = boot().kernel.netstack;
    expect(name).toBe('none');
    expect(current.capabilities()).toBe(0);
    expect(current.validFib(0)).toBe(true);
    expect(current.validFib(1)).toBe(false);
    expect(current.ioctl(SIOCGIFMTU, { name: 'x0' })).toBe('ENXIO');
    expect(current.busy()).toBe(false);
  });

  it('inet sockets are EAFNOSUPPORT, setfib is ENOSYS', () => {
    const { proc } = boot();
    expect(proc.socket(AF_INET, SOCK_STREAM)).toBe('EAFNOSUPPORT');
    expect(proc.socket(AF_INET6, SOCK_STREAM)).toBe('EAFNOSUPPORT');
    expect(proc.call('setfib', 1)).toBe('ENOSYS');
  });

  it('an interface works on, and counts what nobody takes', () => {
    const { sim, kernel } = boot();
    const [a, b] = createPair(sim.effects('wire'));
    const ifp = ok(kernel.ifnets.attach('pair', 0, a));
    const other = ok(kernel.ifnets.attach('pair', 1, b));
    ifp.setUp(true);
    other.setUp(true);
    const pkt = other.txAlloc()!;
    pkt.bytes.fill(0xff, pkt.append(60), pkt.end);
    expect(other.transmit(pkt)).toBeNull();
    sim.run(10);
    expect(ifp.counters.ipackets).toBe(1);
    expect(ifp.counters.noproto).toBe(1);
  });

  it('local sockets and uuids work', async () => {
    const { sim, proc } = boot();
    const [one, two] = ok(proc.socketpair(AF_LOCAL, SOCK_STREAM));
    const buf = new Uint8Array(10);
    const reading = proc.recv(two, buf);
    expect(await proc.send(one, pattern(10))).toBe(10);
    await sim.runAsync(1);
    expect(await reading).toBe(10);
    expect(buf).toEqual(pattern(10));
    expect(ok(proc.uuidgen(2))).toHaveLength(2);
    expect(proc.bind(one, at('10.0.0.1', 1))).not.toBeNull();
  });
});
