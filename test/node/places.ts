/** Where the Node API is tested: over the local domain of one kernel, and over a stack on two kernels joined by a wire. Virtual time. */
import { createPair } from '../../src/driver/pair.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { isErrno } from '../../src/kern/errno.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { createNet, type ConnectOptions, type ListenOptions, type Net } from '../../src/node/net.ts';
import { ifconfig } from '../support/ifconfig.ts';

export interface Place {
  readonly sim: SimWorld;
  /** The client's kernel, and the server's: the same one in the local domain. */
  readonly a: Kernel;
  readonly b: Kernel;
  readonly client: Net;
  readonly server: Net;
  /** An address to listen on and the way to connect to it. */
  readonly listen: ListenOptions;
  readonly to: ConnectOptions;
  stop(): void;
}

export const SERVER_PORT = 8000;

export function localPlace(seed = 1): Place {
  const sim = new SimWorld({ seed });
  const kernel = bootKernel(sim, 'a', null);
  const net = createNet(kernel);
  return {
    sim,
    a: kernel,
    b: kernel,
    client: net,
    server: net,
    listen: { path: 'test' },
    to: { path: 'test' },
    stop: () => kernel.shutdown(),
  };
}

function bootKernel(sim: SimWorld, name: string, stack: ModuleSpec | null): Kernel {
  const kernel = new Kernel(sim.effects(name));
  const failure = (stack === null ? null : kernel.modules.preload(stack)) ?? kernel.boot();
  if (failure !== null) throw new Error(failure.message);
  return kernel;
}

/** Host a is 10.0.0.1, host b, the server, 10.0.0.2. */
export function stackPlace(stack: ModuleSpec, seed = 1): Place {
  const sim = new SimWorld({ seed });
  const [linkA, linkB] = createPair(sim.effects('wire'), { delayMs: 1 });
  const [a, b] = [bootKernel(sim, 'a', stack), bootKernel(sim, 'b', stack)];
  for (const [kernel, link, address] of [[a, linkA, '10.0.0.1/24'] as const, [b, linkB, '10.0.0.2/24'] as const]) {
    const ifp = kernel.ifnets.attach('pair', 0, link);
    if (isErrno(ifp)) throw new Error(ifp);
    ifconfig(kernel, ifp, address);
  }
  return {
    sim,
    a,
    b,
    client: createNet(a),
    server: createNet(b),
    listen: { port: SERVER_PORT },
    to: { host: '10.0.0.2', port: SERVER_PORT },
    stop: () => {
      a.shutdown();
      b.shutdown();
    },
  };
}

/** The modules of the two stacks. */
export async function stackModule(name: 'inet' | 'alt'): Promise<ModuleSpec> {
  const { netmodModule } =
    name === 'inet' ? await import('../../src/stacks/inet/module.ts') : await import('../../src/stacks/alt/module.ts');
  return netmodModule;
}
