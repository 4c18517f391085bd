/** Two kernels on a wire, each with services and a control socket, in real time. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Client, connect } from 'netmod/client';
import { type ControlServer, startControl } from '../../src/control/server.ts';
import { createLo } from '../../src/driver/lo.ts';
import { createPair } from '../../src/driver/pair.ts';
import { realEffects } from '../../src/kern/effects/real.ts';
import type { Ifnet } from '../../src/kern/ifnet/ifnet.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { type Service, startService } from '../../src/services/registry.ts';
import { ifconfig } from '../support/ifconfig.ts';

export interface Site {
  readonly kernel: Kernel;
  readonly control: ControlServer;
  readonly file: string;
  readonly ifp: Ifnet;
}

export class Net {
  readonly dir = fs.mkdtempSync(path.join(os.tmpdir(), 'netmod-client-'));
  readonly sites: Site[] = [];
  readonly #clients: Client[] = [];
  readonly #services: Service[] = [];

  /** 10.0.0.1 and 10.0.0.2; the second serves echo and discard. */
  static async open(module: ModuleSpec | null): Promise<Net> {
    const net = new Net();
    const effects = realEffects({ log: 'silent' });
    const wire = createPair(effects);
    for (const [i, link] of wire.entries()) {
      const kernel = new Kernel(realEffects({ log: 'silent' }));
      const failure = (module === null ? null : kernel.modules.preload(module)) ?? kernel.boot();
      if (failure !== null) throw new Error(failure.message);
      kernel.cloners.add({ name: 'lo', firstUnit: 1, create: () => [createLo(kernel.effects)] });
      kernel.cloners.add({ name: 'epair', create: () => createPair(kernel.effects) });
      const ifp = kernel.ifnets.attach('pair', 0, link);
      if (typeof ifp === 'string') throw new Error(ifp);
      if (module === null) ifp.setUp(true);
      else ifconfig(kernel, ifp, `10.0.0.${i + 1}/24`);
      if (i === 1 && module !== null) {
        net.#services.push(await startService(kernel, { name: 'echo', port: 7 }));
        net.#services.push(await startService(kernel, { name: 'discard', port: 9 }));
      }
      kernel.sysctl.mark();
      const file = path.join(net.dir, `${i}.sock`);
      net.sites.push({ kernel, control: await startControl(kernel, file), file, ifp });
    }
    return net;
  }

  async client(site: 0 | 1): Promise<Client> {
    const client = await connect((this.sites[site] as Site).file);
    this.#clients.push(client);
    return client;
  }

  kernel(site: 0 | 1): Kernel {
    return (this.sites[site] as Site).kernel;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const { control } of this.sites) await control.close();
    for (const service of this.#services) await service.close(0);
    for (const { kernel } of this.sites) kernel.shutdown();
    fs.rmSync(this.dir, { recursive: true });
  }
}

/** Waits for what is soon true; fails when it is not. */
export async function eventually(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not become true');
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);
