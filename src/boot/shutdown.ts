/** The end of a boot: what is in flight is finished within a limit, then everything that was made is removed, last first. */
import fs from 'node:fs';
import { constants } from 'node:os';
import { Callout } from '../kern/callout.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { ControlServer } from '../control/server.ts';
import type { Service } from '../services/registry.ts';
import type { PcapFile } from './pcapfile.ts';

/** Time for everything that is in flight, in milliseconds: services first, then the stack's closing connections. */
const LIMIT_MS = 5000;
const SERVICES_LIMIT_MS = 3000;
const LOOK_MS = 10;

/** What is running, filled in as the boot goes on. */
export interface Running {
  readonly kernel: Kernel;
  readonly services: Service[];
  control: ControlServer | null;
  pcap: PcapFile | null;
}

export async function shutDown({ kernel, services, control, pcap }: Running): Promise<void> {
  const endMs = kernel.clock.monotonicMs() + LIMIT_MS;
  await Promise.all(services.map((service) => service.close(SERVICES_LIMIT_MS)));
  await control?.close();
  await quiet(kernel, endMs);
  kernel.shutdown();
  pcap?.close();
}

/** Waits until the stack has nothing in flight, or the time is over. */
function quiet(kernel: Kernel, endMs: number): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      const busy = kernel.netstack.current.busy();
      if (busy && kernel.clock.monotonicMs() < endMs) return callout.reset(LOOK_MS);
      if (busy) kernel.log.warn({}, 'connections were still closing at the end of the time for it');
      resolve();
    };
    const callout = new Callout(kernel.callouts, look, null);
    look();
  });
}

/** The same at once: nothing in flight is waited for. What would outlive the process is removed all the same. */
export function abandon({ kernel, control, pcap }: Running): void {
  if (control !== null) fs.rmSync(control.path, { force: true });
  kernel.shutdown();
  pcap?.close();
}

/**
 * Takes the signals that ask for an end; the second one ends the process at once, after `atOnce`. The answer resolves with the
 * first.
 */
export function askedToStop(atOnce: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (asked) {
          try {
            atOnce();
          } finally {
            process.exit(128 + constants.signals[signal]);
          }
        }
        asked = true;
        resolve(signal);
      });
    }
  });
}
