/** What a boot adds for its operator: levels of the log by name, channels, interfaces by name, the ring on a signal. */
import diagnosticsChannel from 'node:diagnostics_channel';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addOperatorSide } from '../../src/boot/operator.ts';
import { addLogSysctl } from '../../src/boot/tunables.ts';
import { type RealEffects, realEffects } from '../../src/kern/effects/real.ts';
import { SIOCIFCREATE, ifhwioctl } from '../../src/kern/ifnet/ifioctl.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { Proc } from '../../src/kern/proc/proc.ts';
import { AF_LOCAL, SOCK_STREAM } from '../../src/kern/socket/protosw.ts';

describe('the operator’s side of a boot', () => {
  let dir: string;
  let file: string;
  let kernel: Kernel;
  let effects: RealEffects;
  const lines: string[] = [];

  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'netmod-op-'));
    file = path.join(dir, 'ring.pcapng');
    lines.length = 0;
    effects = realEffects({ log: 'warn', logTo: { write: (line) => void lines.push(line) } });
    kernel = new Kernel(effects, { 'kern.capture.file': file });
    expect(kernel.boot()).toBeNull();
    addLogSysctl(kernel, effects);
    addOperatorSide(kernel, '/nonexistent/default.pcapng');
  });
  afterEach(() => {
    kernel.shutdown();
    fs.rmSync(dir, { recursive: true });
  });

  it('a subsystem’s level can be set as soon as it has a log, and taken away again', () => {
    expect(kernel.sysctl.read('kern.log.mine')).toBe('ENOENT');
    const log = kernel.log.child('mine');
    expect(kernel.sysctl.read('kern.log.mine')).toMatchObject({ value: '' });
    log.trace({}, 'unheard');
    expect(kernel.sysctl.write('kern.log.mine', 'trace')).toMatchObject({ value: '' });
    log.trace({}, 'heard');
    expect(kernel.sysctl.write('kern.log.mine', 'loud')).toBe('EINVAL');
    expect(kernel.sysctl.read('kern.log')).toMatchObject({ value: 'warn,mine=trace' });
    kernel.sysctl.write('kern.log.mine', '');
    log.trace({}, 'unheard again');
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['heard']);
  });

  it('publishes connections and modules to channels, with addresses as text', () => {
    const messages: unknown[] = [];
    const hear = (message: unknown): void => void messages.push(message);
    diagnosticsChannel.subscribe('netmod:accept', hear);
    const proc = new Proc(kernel, 'op');
    const head = proc.socket(AF_LOCAL, SOCK_STREAM) as number;
    proc.bind(head, { kind: 'local', path: 'p' });
    proc.listen(head, 1);
    void proc.connect(proc.socket(AF_LOCAL, SOCK_STREAM) as number, { kind: 'local', path: 'p' });
    diagnosticsChannel.unsubscribe('netmod:accept', hear);
    void proc.connect(proc.socket(AF_LOCAL, SOCK_STREAM) as number, { kind: 'local', path: 'p' });
    expect(messages).toEqual([{ proto: 'local stream', owner: 'op', local: { path: 'p' }, remote: { path: '' } }]);
    expect(kernel.diag.accept.hasSubscribers).toBe(false);
  });

  it('loads and refuses modules by name', async () => {
    const proc = new Proc(kernel, 'op');
    expect(await proc.call('kldload', 'accf_http')).toMatchObject({ err: 'EEXIST' });
    expect(await proc.call('kldload', 'netstack_inte')).toMatchObject({
      err: 'ENOENT',
      message: expect.stringMatching(/did you mean netstack_inet\?/),
    });
    expect(await proc.call('kldload', './no/such.js')).toMatchObject({ err: 'ENOENT' });
    const notOne = path.join(dir, 'x.mjs');
    fs.writeFileSync(notOne, 'export const x = 1;\n');
    expect(await proc.call('kldload', notOne)).toMatchObject({ err: 'ENOEXEC' });
    const one = path.join(dir, 'y.mjs');
    fs.writeFileSync(
      one,
      "export const netmodModule = { name: 'y', version: 3, contract: 1, create: () => ({ event: () => null }) };\n",
    );
    expect(await proc.call('kldload', one)).toMatchObject({ name: 'y', version: 3 });
    expect(await proc.call('kldunload', 'y')).toBeNull();
  });

  it('writes the ring on SIGUSR2, and says why it cannot', async () => {
    process.emit('SIGUSR2');
    expect(lines.at(-1)).toMatch(/ring_mb is 0/);
    kernel.sysctl.write('kern.capture.ring_mb', 1);
    const req = { name: 'epair' };
    expect(ifhwioctl(kernel, SIOCIFCREATE, req)).toBeNull();
    for (const name of ['epair0a', 'epair0b']) kernel.ifnets.byName(name)?.setUp(true);
    const pkt = kernel.ifnets.byName('epair0a')?.txAlloc();
    if (!pkt) throw new Error('no slot');
    pkt.bytes.fill(1, pkt.append(60), pkt.end);
    kernel.ifnets.byName('epair0a')?.transmit(pkt);
    process.emit('SIGUSR2');
    // It is written in pieces, so that the stack goes on, and has its name when it is whole.
    await vi.waitFor(() => expect(fs.existsSync(file)).toBe(true));
    const bytes = fs.readFileSync(file);
    expect(bytes.readUInt32LE(0)).toBe(0x0a0d0d0a);
    expect(bytes.includes('epair0a')).toBe(true);
    expect(fs.readdirSync(dir)).toEqual(['ring.pcapng']);
    kernel.sysctl.write('kern.capture.file', '/nonexistent/ring.pcapng');
    process.emit('SIGUSR2');
    expect(lines.at(-1)).toMatch(/ENOENT/);
  });

  it('takes its handler of the signal away with the kernel', () => {
    const before = process.listenerCount('SIGUSR2');
    kernel.shutdown();
    expect(process.listenerCount('SIGUSR2')).toBe(before - 1);
  });
});
