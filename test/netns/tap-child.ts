/**
 * Runs inside a namespace: `tap-child.ts COMMAND JSON`. Opens a TAP by the driver registry and does what a test wants of it; each line
 * that it prints is JSON.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readdirSync, readlinkSync } from 'node:fs';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { DriverOptions, OpenedLink } from '../../src/driver/driver.ts';
import { DRIVER_DEFAULTS, drivers } from '../../src/driver/registry.ts';
import { ST_COUNT, loadAddon } from '../../src/driver/tap/addon.ts';
import { hostRandom, silentLog } from './tap-env.ts';
import { Responder } from './responder.ts';

type Options = Partial<DriverOptions> & { driver?: 'tap' | 'tuntap2' };

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function openLink(options: Options): Promise<OpenedLink | { error: string }> {
  const { driver = 'tap', ...rest } = options;
  return drivers[driver].open({ random: hostRandom, log: silentLog }, { ...DRIVER_DEFAULTS, ...rest });
}

async function opened(options: Options): Promise<OpenedLink> {
  const result = await openLink(options);
  if ('error' in result) throw new Error(result.error);
  return result;
}

function serve(result: OpenedLink): Responder {
  const responder = new Responder(result.link);
  const errors = [
    result.link.setCapEnable(result.link.info().capabilities),
    result.link.start(responder),
    result.link.setUp(true),
  ].filter((err) => err !== null);
  if (errors.length > 0) throw new Error(errors.join());
  return responder;
}

const commands: Record<string, (options: Options) => Promise<void>> = {
  /** Opens, says what came of it, and closes. */
  async open(options) {
    const result = await openLink(options);
    if ('error' in result) return say(result);
    say({ hostName: result.hostName, dname: result.dname, dunit: result.dunit, capabilities: result.link.info().capabilities });
    result.link.stop();
  },

  /** Answers until SIGTERM; the loop must then be empty, so that the process ends by itself. */
  async serve(options) {
    const result = await opened(options);
    const responder = serve(result);
    responder.onGone = () => {
      say({ gone: true });
      result.link.stop();
    };
    process.on('SIGUSR1', () => {
      const pkt = result.link.txAlloc()!;
      pkt.bytes.fill(0, pkt.append(60), pkt.end);
      const sent = result.link.transmit(pkt);
      result.link.flush();
      say({ sent });
    });
    process.on('SIGUSR2', () => say({ spin: result.setSpinUs(50) }));
    process.once('SIGTERM', () => {
      result.link.stop();
      result.link.stop();
      say({ report: responder.report, counters: result.counters, transmit: result.link.txAlloc() !== null });
    });
    say({ ready: true, capabilities: result.link.info().capabilities });
  },

  /** Ends without a word to the driver. */
  async exit(options) {
    serve(await opened(options));
    say({ ready: true });
    setTimeout(() => process.exit(7), 50);
  },

  /** Throws inside the upper side; the process must end as with any uncaught exception. */
  async throw(options) {
    const result = await opened(options);
    const up = serve(result);
    up.input = () => {
      throw new Error('thrown in input');
    };
    say({ ready: true });
  },

  /** A worker with a device ends in two ways; each time the name is free again. */
  async worker(options) {
    for (const how of ['terminate', 'exit', 'return']) {
      const worker = new Worker(new URL(import.meta.url), { workerData: { how, options } });
      await new Promise((resolve) => worker.once('message', resolve));
      const second = await openLink(options);
      say({ how, busy: 'error' in second ? second.error : null });
      if (how === 'terminate') await worker.terminate();
      else {
        worker.postMessage('end');
        await new Promise((resolve) => worker.once('exit', resolve));
      }
      const again = await openLink(options);
      say({ how, again: 'error' in again ? again.error : 'free' });
      if (!('error' in again)) again.link.stop();
    }
  },

  /** Opens a device as somebody else would, and starts itself again with its descriptor. */
  async passfd(options) {
    const addon = loadAddon();
    if ('error' in addon) throw new Error(addon.error);
    addon.open({ name: options.name ?? '', fd: -1, vnetHdr: options.offload === true, offload: false });
    const fd = readdirSync('/proc/self/fd').find((n) => linkOf(n) === '/dev/net/tun');
    const child = spawn(
      process.execPath,
      [...process.execArgv, process.argv[1]!, 'serve', JSON.stringify({ ...options, fd: 3 })],
      {
        stdio: ['ignore', 'inherit', 'inherit', Number(fd)],
      },
    );
    process.once('SIGTERM', () => child.kill('SIGTERM'));
    child.once('exit', (status) => process.exit(status ?? 1));
  },

  /** Every way to misuse the addon: each must be refused, and leave it working. */
  async misuse(options) {
    const addon = loadAddon();
    if ('error' in addon) throw new Error(addon.error);
    const refused = (what: string, action: () => unknown): void => {
      try {
        action();
        say({ what, refused: false });
      } catch (err) {
        say({ what, refused: (err as Error).name });
      }
    };
    const device = addon.open({ name: options.name ?? '', fd: -1, vnetHdr: true, offload: true });
    const { id } = device;
    const tx = new Uint8Array(addon.memory(8192));
    const txTable = new Int32Array(addon.memory(4 * 21 * 4));
    const rx = new Uint8Array(addon.memory(1 << 17));
    const stats = new Int32Array(addon.memory(4 * ST_COUNT));
    const good = {
      rx,
      rxTable: new Int32Array(addon.memory(4 * 320)),
      tx,
      txSlot: 2048,
      txTable,
      stats,
      // More than the table holds.
      onBatch: () => 5,
      onGone: (n: number) => say({ gone: n }),
    };
    refused('unknown device', () => addon.pause(id + 1));
    refused('negative device', () => addon.pause(-1));
    refused('no device', () => (addon.pause as () => void)());
    refused('write before start', () => addon.writeBatch(id, 0, []));
    refused('no memory', () => addon.memory(0));
    refused('endless memory', () => addon.memory(2 ** 40));
    refused('small rx', () => addon.start(id, { ...good, rx: rx.subarray(0, 1000) }));
    refused('small table', () => addon.start(id, { ...good, rxTable: good.rxTable.subarray(1) }));
    refused('wrong type', () => addon.start(id, { ...good, txTable: new Uint32Array(txTable.buffer) as unknown as Int32Array }));
    refused('memory of others', () => addon.start(id, { ...good, rx: new Uint8Array(1 << 17) }));
    refused('no callback', () => addon.start(id, { ...good, onGone: 1 as unknown as () => void }));
    refused('slot size', () => addon.start(id, { ...good, txSlot: 0 }));
    addon.start(id, good);
    refused('second start', () => addon.start(id, good));
    refused('too many frames', () => addon.writeBatch(id, 5, []));
    refused('spin', () => addon.setSpin(id, 1001));
    refused('lro', () => addon.setLro(id, 1 as unknown as boolean));
    const frame = (...ints: number[]): void => {
      txTable.fill(0);
      txTable.set(ints);
      addon.writeBatch(id, 1, [new Uint8Array(100), new Uint16Array(50) as unknown as Uint8Array]);
    };
    const bad: number[][] = [
      [-1, 60],
      [8192, 60],
      [8190, 60],
      [2047, 60],
      [20, 13],
      [20, 2049],
      [0x7fffffff, 0x7fffffff],
      [20, 60, 0, 0, 0, 0, 0, 0, 5],
      [20, 60, 0, 0, 0, 0, 0, 0, -1],
      [20, 60, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1],
      [20, 60, 0, 0, 0, 0, 0, 0, 1, 0, 50, 51],
      [20, 60, 0, 0, 0, 0, 0, 0, 1, 0, -1, 5],
      [20, 60, 0, 0, 0, 0, 0, 0, 1, 1, 0, 5],
      [20, 60, 1, 0, 0, 0, 4000, 6],
    ];
    for (const ints of bad) frame(...ints);
    say({ bad: bad.length, invalid: stats[3], refusedByHost: stats[2] });
    // Its memory stays where it is: Node copies it, or refuses.
    try {
      structuredClone(rx.buffer, { transfer: [rx.buffer] });
    } catch (err) {
      say({ transfer: (err as Error).name });
    }
    say({ kept: rx.length });
    spawnSync('ip', ['address', 'add', '192.0.2.1/24', 'dev', device.name]);
    spawnSync('ip', ['link', 'set', 'dev', device.name, 'up']);
    // Somebody is looked for, so that a frame comes.
    const socket = createSocket('udp4').unref();
    socket.send('x', 9, '192.0.2.2', () => socket.close());
    await new Promise((resolve) => setTimeout(resolve, 300));
    say({ overlong: (stats[3] as number) - bad.length });
    addon.close(id, () => say({ closed: true }));
    refused('closed device', () => addon.writeBatch(id, 0, []));
  },
};

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

if (isMainThread) {
  const [, , command = '', options = '{}'] = process.argv;
  await commands[command]!(JSON.parse(options) as Options);
} else {
  const { how, options } = workerData as { how: string; options: Options };
  const result = await opened(options);
  serve(result);
  parentPort!.postMessage('ready');
  parentPort!.on('message', () => {
    if (how === 'exit') process.exit(0);
    // Otherwise the worker ends because nothing is left to do.
    result.link.stop();
    parentPort!.close();
  });
}
