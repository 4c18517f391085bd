/** Modules by name, path and package; interfaces, tunables and the kernel environment as the loader sets them up. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BootFailure } from '../../src/boot/failure.ts';
import { attachLoopback, checkFamilies, configureDevice } from '../../src/boot/network.ts';
import { type BootOptions, parseOptions } from '../../src/boot/options.ts';
import { findDriver, findModule, findStack } from '../../src/boot/registry.ts';
import { applyTunables, bootEnv } from '../../src/boot/tunables.ts';
import { createPair } from '../../src/driver/pair.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { isErrno } from '../../src/kern/errno.ts';
import { type IfConfReq, type RtConfReq, SIOCGIFCONF, SIOCGRTCONF } from '../../src/kern/ifnet/ifioctl.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { addrToString } from '../../src/wire/addrtext.ts';

async function refusal(what: Promise<unknown>): Promise<string> {
  const error = await what.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BootFailure);
  expect((error as BootFailure).status).toBe(2);
  expect((error as BootFailure).message).not.toContain('\n');
  return (error as BootFailure).message;
}

function optionsOf(...argv: string[]): BootOptions {
  const parsed = parseOptions(argv, {});
  if (parsed.kind !== 'run') throw new Error(parsed.kind);
  return parsed.options;
}

describe('modules by name', () => {
  let dir: string;
  const write = (name: string, text: string): string => {
    const file = path.join(dir, name);
    fs.writeFileSync(file, text);
    return file;
  };
  beforeAll(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'netmod-modules-'));
  });
  afterAll(() => fs.rmSync(dir, { recursive: true }));

  it('finds the stacks that come with it', async () => {
    expect((await findStack('inet'))?.name).toBe('netstack_inet');
    expect((await findStack('alt'))?.name).toBe('netstack_alt');
    expect(await findStack('none')).toBe(null);
  });

  it('finds a stack by path', async () => {
    const spec = `{ name: 'netstack_mine', version: 3, contract: 1, create: () => ({}) }`;
    const file = write('mine.mjs', `export const netmodModule = ${spec};`);
    expect(await findStack(file)).toMatchObject({ name: 'netstack_mine', version: 3 });
    expect(await findModule({ name: 'netstack_mine', from: file, where: 'x:1' })).toMatchObject({ version: 3 });
    expect(await refusal(findModule({ name: 'other', from: file, where: 'x:1' }))).toMatch(
      /x:1: .* is module netstack_mine, not other/,
    );
  });

  it('refuses what is no stack, and says what there is', async () => {
    expect(await refusal(findStack('nosuch'))).toMatch(/unknown stack 'nosuch'; there are inet, alt, none, or give/);
    expect(await refusal(findStack('inte'))).toMatch(/did you mean inet\?/);
    expect(await refusal(findStack('./nowhere.mjs'))).toMatch(/cannot load '\.\/nowhere\.mjs'/);
    expect(await refusal(findStack(write('empty.mjs', 'export const x = 1;')))).toMatch(/exports no netmodModule/);
    const lame = write('lame.mjs', `export const netmodModule = { name: 'netstack_lame', contract: 1 };`);
    expect(await refusal(findStack(lame))).toMatch(/lacks a name, a version or a create function/);
    const old = write(
      'old.mjs',
      `export const netmodModule = { name: 'netstack_old', version: 1, contract: 99, create: () => ({}) };`,
    );
    expect(await refusal(findStack(old))).toMatch(/netstack_old was built for contract 99 of the kernel; this one has 1/);
    const other = write(
      'other.mjs',
      `export const netmodModule = { name: 'filter', version: 1, contract: 1, create: () => ({}) };`,
    );
    expect(await refusal(findStack(other))).toMatch(/is not a netstack_<name>/);
    expect(pathToFileURL(other).protocol).toBe('file:');
  });

  it('knows the other modules and the drivers', async () => {
    expect(await findModule({ name: 'accf_http', from: null, where: 'x:1' })).toBe(null);
    expect((await findModule({ name: 'netstack_alt', from: null, where: 'x:1' }))?.name).toBe('netstack_alt');
    expect(await refusal(findModule({ name: 'if_bridge', from: null, where: 'x:1' }))).toMatch(
      /x:1: unknown module if_bridge; there are netstack_inet/,
    );
    expect(findDriver('tap').descr).toMatch(/TAP/);
    expect(() => findDriver('tun')).toThrow(/unknown driver 'tun'; there are tap, tuntap2; did you mean tap\?/);
  });
});

describe('a kernel as the loader sets it up', () => {
  async function start(...argv: string[]): Promise<{ kernel: Kernel; options: BootOptions }> {
    const options = optionsOf(...argv);
    const kernel = new Kernel(new SimWorld().effects('a'), bootEnv(options));
    const spec = await findStack(options.stack);
    const failure = (spec === null ? null : kernel.modules.preload(spec)) ?? kernel.boot();
    if (failure !== null) throw new Error(failure.message);
    return { kernel, options };
  }

  it.each(['inet', 'alt'])('has a loopback, its addresses and the default route with %s', async (stack) => {
    const { kernel, options } = await start(`--stack=${stack}`, '--addr=10.0.0.2/24', '--addr=10.9.0.2/16');
    attachLoopback(kernel);
    const [link] = createPair(kernel.effects);
    const ifp = kernel.ifnets.attach('tap', 0, link);
    if (isErrno(ifp)) throw new Error(ifp);
    ifp.setUp(true);
    configureDevice(kernel, { ifp, hostName: 'tap0', pcap: null }, options);
    const conf: IfConfReq = { addrs: [] };
    expect(kernel.netstack.current.ioctl(SIOCGIFCONF, conf)).toBe(null);
    const addrs = conf.addrs.map(({ name, addr, prefixLen }) => `${name} ${addrToString(addr)}/${prefixLen}`);
    expect(addrs.sort()).toEqual(['lo0 127.0.0.1/8', 'tap0 10.0.0.2/24', 'tap0 10.9.0.2/16']);
    const routes: RtConfReq = { routes: [] };
    expect(kernel.netstack.current.ioctl(SIOCGRTCONF, routes)).toBe(null);
    const ways = routes.routes.map(
      ({ dst, prefixLen, gateway }) => `${addrToString(dst)}/${prefixLen} ${gateway ? addrToString(gateway) : '-'}`,
    );
    expect(ways).toContain('0.0.0.0/0 10.0.0.1');
    kernel.shutdown();
  });

  it('has no loopback without a stack', async () => {
    const { kernel } = await start('--stack=none');
    attachLoopback(kernel);
    expect(kernel.ifnets.all()).toEqual([]);
    kernel.shutdown();
  });

  it('refuses IPv6 addresses while its stack has none', async () => {
    const { kernel, options } = await start('--stack=alt', '--addr=fd00::2/64', '--no-peer');
    expect(() => checkFamilies(kernel, options)).toThrow(
      /fd00::2\/64 is an IPv6 address, and the stack 'alt' has no inet6 domain/,
    );
    kernel.shutdown();
  });

  it('takes tunables before the start and sysctls after it', async () => {
    const { kernel, options } = await start('--stack=none', '--set=net.inet.accf.http.parsehttpversion=0');
    applyTunables(kernel, options);
    expect(kernel.sysctl.read('net.inet.accf.http.parsehttpversion')).toMatchObject({ value: false });
    kernel.shutdown();
  });

  it.each([
    [
      '--set=net.inet.accf.http.parsehttpversions=0',
      /--set: unknown tunable or sysctl .*; did you mean net\.inet\.accf\.http\.parsehttpversion\?/,
    ],
    ['--set=net.inet.accf.http.parsehttpversion=perhaps', /parsehttpversion.*"perhaps" is refused.*0, 1, true, false/],
    ['--set=kern.netstack.name=mine', /kern\.netstack\.name can only be read/],
    ['--set=kern.netstack=1', /unknown tunable or sysctl kern\.netstack/],
  ])('refuses %s', async (option, why) => {
    const { kernel, options } = await start('--stack=none', option);
    expect(() => applyTunables(kernel, options)).toThrow(why);
    kernel.shutdown();
  });
});
