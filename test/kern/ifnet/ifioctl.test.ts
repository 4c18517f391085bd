import { describe, expect, it } from 'vitest';
import { _IO } from '../../../src/kern/ioccom.ts';
import {
  SIOCADDRT,
  SIOCAIFADDR,
  SIOCDIFADDR,
  SIOCGDRVSPEC,
  SIOCGHWADDR,
  SIOCGIFADDR,
  SIOCGIFCAP,
  SIOCGIFCONF,
  SIOCGIFDESCR,
  SIOCGIFFIB,
  SIOCGIFFLAGS,
  SIOCGIFINDEX,
  SIOCGIFMEDIA,
  SIOCGIFMTU,
  SIOCGIFSTATUS,
  SIOCSDRVSPEC,
  SIOCSIFCAP,
  SIOCSIFDESCR,
  SIOCSIFFIB,
  SIOCSIFFLAGS,
  SIOCSIFLLADDR,
  SIOCSIFMTU,
  SIOCSIFNAME,
  ifhwioctl,
} from '../../../src/kern/ifnet/ifioctl.ts';
import { IFF_UP } from '../../../src/kern/ifnet/ifnet.ts';
import { IFCAP_TXCSUM } from '../../../src/kern/ifnet/link.ts';
import { TestLink, TestStack, newKernel, ok, stackModule } from '../support.ts';

function setUp() {
  const { kernel } = newKernel();
  const stack = new TestStack();
  stack.fibs = 2;
  kernel.modules.preload(stackModule(stack));
  kernel.boot();
  const link = new TestLink({ capabilities: IFCAP_TXCSUM });
  const ifp = ok(kernel.ifnets.attach('test', 0, link.link()));
  const call = <T extends object>(cmd: number, fields?: T) => {
    const data = { name: 'test0', ...fields } as { name: string } & Record<string, unknown>;
    return { result: ifhwioctl(kernel, cmd, data), data };
  };
  return { kernel, link, ifp, call };
}

describe('interface requests', () => {
  it('have the numbers of FreeBSD', () => {
    expect([
      SIOCGIFFLAGS,
      SIOCSIFFLAGS,
      SIOCAIFADDR,
      SIOCDIFADDR,
      SIOCGIFADDR,
      SIOCGIFCONF,
      SIOCGIFMTU,
      SIOCGIFMEDIA,
      SIOCGIFSTATUS,
    ]).toEqual([0xc0206911, 0x80206910, 0x8044692b, 0x80206919, 0xc0206921, 0xc0106924, 0xc0206933, 0xc0306938, 0xc330693b]);
  });

  it('read what they ask for', () => {
    const { call, ifp } = setUp();
    const read = (cmd: number): Record<string, unknown> => {
      const { result, data } = call(cmd);
      expect(result).toBeNull();
      return data;
    };
    expect(read(SIOCGIFFLAGS)['flags']).toBe(ifp.flags());
    expect(read(SIOCGIFMTU)['mtu']).toBe(1500);
    expect(read(SIOCGIFINDEX)['index']).toBe(1);
    expect(read(SIOCGIFFIB)['fib']).toBe(0);
    expect(read(SIOCGIFCAP)).toMatchObject({ reqcap: IFCAP_TXCSUM, curcap: IFCAP_TXCSUM });
    expect(read(SIOCGHWADDR)['lladdr']).toEqual(ifp.lladdr());
    expect(read(SIOCGIFMEDIA)).toMatchObject({ media: 'ethernet', active: true });
    expect(read(SIOCGIFSTATUS)['status']).toBe('down');
    ifp.setUp(true);
    expect(read(SIOCGIFSTATUS)['status']).toBe('active');
  });

  it('change what they name', () => {
    const { call, kernel, ifp } = setUp();
    expect(call(SIOCSIFFLAGS, { flags: IFF_UP }).result).toBeNull();
    expect(call(SIOCSIFMTU, { mtu: 1400 }).result).toBeNull();
    expect(call(SIOCSIFCAP, { reqcap: 0 }).result).toBeNull();
    expect(call(SIOCSIFFIB, { fib: 1 }).result).toBeNull();
    expect(call(SIOCSIFLLADDR, { lladdr: Uint8Array.of(2, 2, 2, 2, 2, 2) }).result).toBeNull();
    expect(call(SIOCSIFDESCR, { descr: 'uplink' }).result).toBeNull();
    expect(call(SIOCGIFDESCR).data['descr']).toBe('uplink');
    expect([ifp.isUp(), ifp.mtu(), ifp.capEnable(), ifp.fib(), ifp.lladdr()![5], ifp.description()]).toEqual([
      true,
      1400,
      0,
      1,
      2,
      'uplink',
    ]);
    expect(call(SIOCSIFNAME, { newName: 'wan0' }).result).toBeNull();
    expect(call(SIOCGIFMTU).result).toBe('ENXIO');
    expect(kernel.ifnets.byName('wan0')).toBe(ifp);
  });

  it('answer the errors of FreeBSD', () => {
    const { call, kernel } = setUp();
    ok(kernel.ifnets.attach('lo', 0, new TestLink({ type: 'loopback', lladdr: null }).link()));
    expect(call(SIOCSIFMTU, { mtu: 71 }).result).toBe('EINVAL');
    expect(call(SIOCSIFMTU, { mtu: 65536 }).result).toBe('EINVAL');
    expect(call(SIOCSIFCAP, { reqcap: 0x8000 }).result).toBe('EINVAL');
    expect(call(SIOCSIFFIB, { fib: 2 }).result).toBe('EINVAL');
    expect(call(SIOCSIFNAME, { newName: '' }).result).toBe('EINVAL');
    expect(call(SIOCSIFNAME, { newName: 'lo0' }).result).toBe('EEXIST');
    expect(call(SIOCGIFDESCR).result).toBe('ENOMSG');
    expect(call(SIOCSIFDESCR, { descr: 'x'.repeat(1025) }).result).toBe('ENAMETOOLONG');
    expect(call(SIOCGHWADDR, { name: 'lo0' }).result).toBe('ENODEV');
    expect(call(SIOCGIFMTU, { name: 'nope' }).result).toBe('ENXIO');
  });

  it('check what they are given: no request can throw', () => {
    const { kernel, call } = setUp();
    for (const cmd of [SIOCSIFFLAGS, SIOCSIFMTU, SIOCSIFCAP, SIOCSIFFIB, SIOCSIFLLADDR, SIOCSIFNAME, SIOCSDRVSPEC]) {
      expect(call(cmd).result).toBe('EINVAL');
      expect(call(cmd, { flags: 'x', mtu: '1400', reqcap: null, fib: 1.5, lladdr: [1], newName: 5, cmd: 'x' }).result).toBe(
        'EINVAL',
      );
      for (const data of [null, undefined, 5, 'x', {}, { name: 5 }]) expect(ifhwioctl(kernel, cmd, data)).toBe('EINVAL');
    }
    expect(call(SIOCSIFDESCR, { descr: 5 }).result).toBe('EINVAL');
  });

  it('leave to the stack what is its own', () => {
    const { call } = setUp();
    for (const cmd of [SIOCAIFADDR, SIOCDIFADDR, SIOCGIFADDR, SIOCGIFCONF, SIOCADDRT, _IO('i', 1)])
      expect(call(cmd).result).toBe('ENOIOCTL');
  });

  it('pass the driver its own', () => {
    const { call, link } = setUp();
    expect(call(SIOCSDRVSPEC, { cmd: 1, data: 'x' }).result).toBeNull();
    expect(call(SIOCGDRVSPEC, { cmd: 2 }).result).toBe('EOPNOTSUPP');
    expect(link.calls.slice(-2)).toEqual(['ioctl 1', 'ioctl 2']);
  });

  it('tell a device that is missing and one without a carrier', () => {
    const { kernel, call, link, ifp } = setUp();
    ifp.setUp(true);
    link.up!.state('down');
    expect(call(SIOCGIFSTATUS).data['status']).toBe('no carrier');
    const missing = new TestLink();
    missing.startError = 'ENXIO';
    ok(kernel.ifnets.attach('gone', 0, missing.link()));
    expect(call(SIOCGIFSTATUS, { name: 'gone0' }).data['status']).toBe('no device (ENXIO)');
  });
});
