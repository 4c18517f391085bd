#!/usr/bin/env node
/**
 * The loader: options, kernel environment, modules, one stack, the interface, services, and the ready line. What it does in detail is
 * in `boot/`. Standard output carries the ready line and nothing else; the log and the one line of a failure go to standard error.
 */
import fs from 'node:fs';
import path from 'node:path';
import { realEffects } from './kern/effects/real.ts';
import { Kernel } from './kern/kernel.ts';
import { startControl } from './control/server.ts';
import { formatServices, startService } from './services/registry.ts';
import { tuneV8 } from './boot/v8.ts';
import { BootFailure } from './boot/failure.ts';
import { LogOutput } from './boot/logoutput.ts';
import { attachDevice, attachLoopback, checkFamilies, configureDevice, type Device } from './boot/network.ts';
import { addOperatorSide } from './boot/operator.ts';
import { type BootOptions, helpText, parseOptions } from './boot/options.ts';
import { findDriver, findModule, findStack } from './boot/registry.ts';
import { abandon, askedToStop, type Running, shutDown } from './boot/shutdown.ts';
import { addLogSysctl, applyTunables, bootEnv } from './boot/tunables.ts';
import { formatPrefix } from './boot/values.ts';

async function boot(options: BootOptions, out: LogOutput): Promise<void> {
  tuneV8();
  findDriver(options.driver);
  // From here on: a signal that comes too early is obeyed as soon as the boot is complete.
  let running: Running | null = null;
  const asked = askedToStop(() => running !== null && abandon(running));
  const effects = realEffects({ log: options.log ?? 'info', logTo: out });
  const kernel = new Kernel(effects, bootEnv(options));
  await loadModules(kernel, options);
  const failure = kernel.boot();
  if (failure !== null) throw new BootFailure(1, failure.message);
  running = { kernel, services: [], control: null, pcap: null };
  try {
    checkAcceptFilter(kernel, options);
    checkFamilies(kernel, options);
    addLogSysctl(kernel, effects);
    addOperatorSide(kernel, path.join(path.dirname(controlPath(options, options.tap)), `${options.tap}.pcapng`));
    attachLoopback(kernel);
    const device = await attachDevice(kernel, options);
    running.pcap = device.pcap;
    applyTunables(kernel, options);
    configureDevice(kernel, device, options);
    await serve(running, options, device);
    stopWhenDone(running, device, asked);
    // What `reset` goes back to.
    kernel.sysctl.mark();
    fs.writeSync(1, `${readyLine(running, options, device)}\n`);
    out.release();
  } catch (error) {
    await shutDown(running);
    throw error;
  }
}

/** The stack, and what a loader.conf asks for besides. */
async function loadModules(kernel: Kernel, options: BootOptions): Promise<void> {
  const specs = await Promise.all([findStack(options.stack), ...options.modules.map(findModule)]);
  const [stack, ...others] = specs;
  for (const spec of [stack, ...others.filter((other) => other?.name !== stack?.name)]) {
    const failure = spec ? kernel.modules.preload(spec) : null;
    if (failure !== null) throw new BootFailure(2, failure.message);
  }
}

function checkAcceptFilter(kernel: Kernel, { acceptFilter }: BootOptions): void {
  if (acceptFilter === null || kernel.accfilters.find(acceptFilter) !== null) return;
  throw new BootFailure(
    2,
    `--accept-filter: unknown filter '${acceptFilter}'; there are ${kernel.accfilters.names().join(', ')}`,
  );
}

async function serve(running: Running, options: BootOptions, device: Device): Promise<void> {
  const { kernel, services } = running;
  for (const spec of options.services) {
    const http = options.acceptFilter === null ? {} : { acceptFilter: options.acceptFilter };
    try {
      services.push(await startService(kernel, spec, http));
    } catch (error) {
      throw new BootFailure(1, `service ${spec.name}:${spec.port}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (options.ctl === 'none') return;
  try {
    running.control = await startControl(kernel, controlPath(options, device.hostName));
  } catch (error) {
    throw new BootFailure(1, error instanceof Error ? error.message : String(error));
  }
}

function controlPath({ ctl }: BootOptions, hostName: string): string {
  return ctl === null || ctl === 'none' ? `/run/netmod/${hostName}.sock` : ctl;
}

/** A signal ends the boot in order; so does the loss of its device, which is a failure. */
function stopWhenDone(running: Running, { ifp, hostName }: Device, asked: Promise<NodeJS.Signals>): void {
  const { kernel } = running;
  let stopping = false;
  const stop = (status: number): void => {
    if (stopping) return;
    stopping = true;
    void shutDown(running).then(() => process.exit(status));
  };
  void asked.then((signal) => {
    kernel.log.info({ signal }, 'shutting down');
    stop(0);
  });
  kernel.events.on('ifnet_departure_event', (gone) => {
    // A rename is a departure too, after which the interface is still there.
    if (gone !== ifp || kernel.ifnets.byIndex(ifp.index) === ifp || stopping) return;
    fail(`${hostName}: the device is gone`);
    stop(1);
  });
}

function readyLine({ kernel, control }: Running, options: BootOptions, { ifp }: Device): string {
  const addrs = options.addrs.map(formatPrefix).join(',');
  const ctl = control === null ? 'none' : control.path;
  return `ready stack=${kernel.netstack.name} if=${ifp.name()} addr=${addrs} services=${formatServices(options.services)} ctl=${ctl}`;
}

function fail(message: string): void {
  fs.writeSync(2, `netmod: ${message}\n`);
}

function version(): string {
  const manifest = new URL('../package.json', import.meta.url);
  return (JSON.parse(fs.readFileSync(manifest, 'utf8')) as { version: string }).version;
}

async function main(): Promise<void> {
  const parsed = parseOptions(process.argv.slice(2), process.env);
  if (parsed.kind === 'help') fs.writeSync(1, helpText());
  else if (parsed.kind === 'version') fs.writeSync(1, `netmod ${version()}\n`);
  else {
    const { options } = parsed;
    // Who asked for a log wants to see all of it; otherwise a boot that fails says why in one line.
    const out = new LogOutput(options.log === null);
    await boot(options, out);
  }
}

main().catch((error: unknown) => {
  if (!(error instanceof BootFailure)) throw error;
  fail(error.message);
  process.exit(error.status);
});
