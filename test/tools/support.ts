/**
 * A boot for the commands, in this process and without privilege: `tap0` is one end of a wire in memory, at whose other end a second
 * kernel plays the host. Commands are run as the program runs them, and what they print is kept.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Client, connect } from 'netmod/client';
import { findForKldload } from '../../src/boot/registry.ts';
import { addLogSysctl } from '../../src/boot/tunables.ts';
import { type ControlServer, startControl } from '../../src/control/server.ts';
import { createLo } from '../../src/driver/lo.ts';
import { impair } from '../../src/driver/impair.ts';
import { createPair } from '../../src/driver/pair.ts';
import { realEffects } from '../../src/kern/effects/real.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { type Service, startService } from '../../src/services/registry.ts';
import { netmodModule as altModule } from '../../src/stacks/alt/module.ts';
import { netmodModule as inetModule } from '../../src/stacks/inet/module.ts';
import { runProgram } from '../../src/tools/program.ts';
import type { Screen } from '../../src/tools/tool.ts';
import { TOOLS } from '../../src/tools/tools.ts';
import { ifconfig, routeAdd } from '../support/ifconfig.ts';

export const STACKS = { inet: inetModule, alt: altModule, none: null } as const;
export type StackName = keyof typeof STACKS;

/** What a command did. */
export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
  /** Both, in the order in which they were written. */
  readonly all: string;
}

export interface LabOptions {
  /** Lines of the boot's log come here. */
  readonly log?: string[];
  /** Delay of the wire in each direction. */
  readonly delayMs?: number;
  /** Of the frames that the boot sends, so many are lost. */
  readonly lossPercent?: number;
}

export class Lab {
  readonly dir = fs.mkdtempSync(path.join(os.tmpdir(), 'netmod-tools-'));
  readonly stack: StackName;
  readonly kernels: Kernel[] = [];
  /** Control sockets of the boot, and of the host. */
  readonly files: string[] = [];
  readonly #controls: ControlServer[] = [];
  readonly #services: Service[] = [];
  readonly #clients: Client[] = [];

  private constructor(stack: StackName) {
    this.stack = stack;
  }

  /** The boot is 10.0.0.2 and serves http and echo; the host is 10.0.0.1, serves echo and discard, and has the stack inet. */
  static async open(stack: StackName, { log, delayMs = 0, lossPercent = 0 }: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(stack);
    const effects = realEffects({ log: 'silent' });
    const wire = createPair(effects, { delayMs });
    if (lossPercent > 0) wire[0] = impair(wire[0], effects, { tx: { lossPercent } }).link;
    await lab.#host('boot', STACKS[stack], wire[0], '10.0.0.2/24', ['http', 'echo'], log);
    await lab.#host('host', inetModule, wire[1], '10.0.0.1/24', ['echo', 'discard']);
    return lab;
  }

  async #host(
    name: string,
    module: ModuleSpec | null,
    link: ReturnType<typeof createPair>[number],
    prefix: string,
    services: readonly ('http' | 'echo' | 'discard')[],
    log?: string[],
  ): Promise<void> {
    const logTo = log === undefined ? {} : { logTo: { write: (line: string) => void log.push(line) } };
    const effects = realEffects({ log: log === undefined ? 'silent' : 'info', ...logTo });
    const kernel = new Kernel(effects);
    addLogSysctl(kernel, effects);
    const failure = (module === null ? null : kernel.modules.preload(module)) ?? kernel.boot();
    if (failure !== null) throw new Error(failure.message);
    kernel.modules.finder = findForKldload;
    kernel.cloners.add({ name: 'lo', firstUnit: 1, create: () => [createLo(kernel.effects)] });
    kernel.cloners.add({ name: 'epair', create: () => createPair(kernel.effects) });
    if (module !== null) {
      const lo = kernel.ifnets.attach('lo', 0, createLo(kernel.effects));
      if (typeof lo === 'string') throw new Error(lo);
      ifconfig(kernel, lo, '127.0.0.1/8');
    }
    const ifp = kernel.ifnets.attach('tap', 0, link);
    if (typeof ifp === 'string') throw new Error(ifp);
    if (module === null) ifp.setUp(true);
    else {
      ifconfig(kernel, ifp, prefix);
      if (name === 'boot') routeAdd(kernel, '0.0.0.0/0', '10.0.0.1');
      for (const service of services)
        this.#services.push(await startService(kernel, { name: service, port: { http: 80, echo: 7, discard: 9 }[service] }));
    }
    kernel.sysctl.mark();
    const file = path.join(this.dir, `${name}.sock`);
    this.kernels.push(kernel);
    this.files.push(file);
    this.#controls.push(await startControl(kernel, file));
  }

  /** A client of the boot's control socket (0) or of the host's (1). */
  async client(which: 0 | 1 = 0): Promise<Client> {
    const client = await connect(this.files[which]!);
    this.#clients.push(client);
    return client;
  }

  /** Runs `netmod ...` against the boot. */
  run(argv: readonly string[], until: AbortSignal = new AbortController().signal): Promise<Ran> {
    return runTool(argv, { NETMOD_CTL: this.files[0] }, until);
  }

  /** The same, as words of one line. */
  sh(line: string, until?: AbortSignal): Promise<Ran> {
    return this.run(line.split(' '), until);
  }

  /** The data that a command prints with `--json`. */
  async json<T = unknown>(line: string): Promise<T> {
    const ran = await this.sh(`${line} --json`);
    if (ran.err !== '') throw new Error(ran.err);
    return JSON.parse(ran.out) as T;
  }

  /** Ends the boot's side of the control socket, as when it dies. */
  async die(): Promise<void> {
    await this.#controls[0]!.close();
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const control of this.#controls) await control.close();
    for (const service of this.#services) await service.close(0);
    for (const kernel of this.kernels) kernel.shutdown();
    fs.rmSync(this.dir, { recursive: true });
  }
}

/** Runs the program with an environment of its own. */
export async function runTool(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  until: AbortSignal = new AbortController().signal,
  screenLike: Partial<Screen> = {},
): Promise<Ran> {
  const text = { out: '', err: '', all: '' };
  const add = (where: 'out' | 'err', data: string): void => {
    text[where] += data;
    text.all += data;
  };
  const line = (data: string): string => (data.endsWith('\n') ? data : `${data}\n`);
  const screen: Screen = {
    print: (data) => add('out', line(data)),
    write: (data) => {
      add('out', typeof data === 'string' ? data : Buffer.from(data).toString('latin1'));
      return Promise.resolve();
    },
    warn: (data) => add('err', line(data)),
    isTty: false,
    columns: () => 100,
    rows: () => 30,
    keys: null,
    ...screenLike,
  };
  const status = await runProgram(argv, { tools: TOOLS, screen, until, env, version: '0.0.0' });
  return { status, ...text };
}

/** Waits until the boot has no byte under way that the host has not acknowledged. */
export async function acknowledged(lab: Lab): Promise<void> {
  const client = await lab.client();
  await eventually(async () => (await client.table('net.inet.tcp.pcblist')).every((row) => row.sendq === 0));
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
