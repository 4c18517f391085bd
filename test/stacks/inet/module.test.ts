/** The stack as a module: what it registers, and that it takes all of it back. */
import { describe, expect, it } from 'vitest';
import { SimWorld } from '../../../src/kern/effects/sim.ts';
import { Kernel } from '../../../src/kern/kernel.ts';
import { NETSTACK_CAP_LRO } from '../../../src/kern/netstack.ts';
import { socreate } from '../../../src/kern/socket/calls.ts';
import { AF_INET, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET } from '../../../src/kern/socket/protosw.ts';
import { inetModule } from '../../../src/stacks/inet/inetmodule.ts';
import { bytesOf, ping, udpFrame } from './frames.ts';
import { Host } from './harness.ts';

const GROUPS = ['arp', 'ether', 'frag', 'icmp', 'ip', 'raw', 'route', 'udp'];

describe('netstack_inet', () => {
  it('says what it is', () => {
    const host = new Host();
    expect(host.kernel.netstack.name).toBe('inet');
    expect(host.kernel.netstack.current.capabilities()).toBe(NETSTACK_CAP_LRO);
    expect(host.kernel.netstack.current.busy()).toBe(false);
    expect(host.kernel.modules.list().map((m) => m.name)).toContain('netstack_inet');
    expect(Object.keys(host.kernel.counters.snapshot())).toEqual(expect.arrayContaining(GROUPS));
  });

  it('answers for its protocols, and for none that it lacks', () => {
    const { kernel } = new Host();
    expect(typeof socreate(kernel, AF_INET, SOCK_DGRAM, 17, null)).toBe('object');
    expect(typeof socreate(kernel, AF_INET, SOCK_RAW, 89, null)).toBe('object');
    expect(socreate(kernel, AF_INET, SOCK_DGRAM, 136, null)).toBe('EPROTONOSUPPORT');
    expect(typeof socreate(kernel, AF_INET, SOCK_SEQPACKET, 0, null)).toBe('string');
  });

  it('has each sysctl readable, and those with a range hold it', () => {
    const { kernel } = new Host();
    const names = kernel.sysctl.walk('net').map((reading) => reading.name);
    expect(names).toEqual(
      expect.arrayContaining(['net.inet.ip.ttl', 'net.inet.icmp.icmplim', 'net.link.ether.inet.max_age', 'net.fibs']),
    );
    expect(kernel.sysctl.write('net.inet.ip.ttl', 0)).toBe('EINVAL');
    expect(kernel.sysctl.write('net.inet.ip.ttl', 256)).toBe('EINVAL');
    expect(kernel.sysctl.write('net.inet.ip.forwarding', 1)).toBe('EPERM');
    expect(kernel.sysctl.write('net.fibs', 2)).toBe('EPERM');
  });

  it('takes its tunables, and keeps its defaults for values that cannot be', () => {
    const tuned = new Host({ env: { 'net.inet.ip.ttl': '33', 'net.fibs': '4' } }).kernel.sysctl;
    expect([tuned.read('net.inet.ip.ttl'), tuned.read('net.fibs')]).toMatchObject([{ value: 33 }, { value: 4 }]);
    const bad = new Host({ env: { 'net.inet.ip.ttl': '999', 'net.fibs': '0' } }).kernel.sysctl;
    expect([bad.read('net.inet.ip.ttl'), bad.read('net.fibs')]).toMatchObject([{ value: 64 }, { value: 1 }]);
    expect(bad.badTunables.length).toBe(2);
  });

  it('leaves nothing behind at shutdown', () => {
    const host = new Host();
    host.udp(7);
    host.exchange(ping(bytesOf('x')), udpFrame(bytesOf('x'), { dport: 99 }));
    host.link.inject(udpFrame(bytesOf('x'), {}, { mf: true, off: 8 }));
    const { kernel, world } = host;
    kernel.shutdown();
    expect(kernel.netstack.name).toBe('none');
    expect(kernel.sysctl.walk('net.inet')).toEqual([]);
    expect(Object.keys(kernel.counters.snapshot()).filter((group) => GROUPS.includes(group))).toEqual([]);
    expect([kernel.callouts.count(), kernel.syscalls.has('setfib')]).toEqual([0, false]);
    world.run(100_000);
    expect(socreate(kernel, AF_INET, SOCK_DGRAM, 0, null)).toBe('EAFNOSUPPORT');
  });

  it('a second stack is refused, and the first lives on', () => {
    const world = new SimWorld(1);
    const kernel = new Kernel(world.effects('k'));
    expect(kernel.modules.preload(inetModule(null))).toBeNull();
    const other = { ...inetModule(null), name: 'netstack_other' };
    expect(kernel.modules.preload(other, { optional: true })).toBeNull();
    expect(kernel.boot()).toBeNull();
    expect(kernel.netstack.name).toBe('inet');
    expect(typeof socreate(kernel, AF_INET, SOCK_DGRAM, 0, null)).toBe('object');
  });
});
