/** The services by name: what `--service` takes, and how each is started. */
import { ANY4, sockAddr } from '../wire/addr.ts';
import type { Errno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { SysError } from '../node/errors.ts';
import { Chargen } from './chargen.ts';
import { DiscardDgram, DiscardStream } from './discard.ts';
import { EchoDgram, EchoStream } from './echo.ts';
import { Hello } from './hello.ts';
import { type HttpOptions, HttpService } from './http.ts';
import type { DgramService, Service, StreamService } from './service.ts';

export type { Service } from './service.ts';

interface Kind {
  readonly port: number;
  start(kernel: Kernel, port: number, options: HttpOptions): Promise<Service>;
}

const KINDS = {
  http: { port: 80, start: (kernel, port, options) => new HttpService(kernel).listen(port, options) },
  echo: { port: 7, start: (kernel, port) => startPlain('echo', port, new EchoStream(kernel), new EchoDgram(kernel)) },
  discard: { port: 9, start: (kernel, port) => startPlain('discard', port, new DiscardStream(kernel), new DiscardDgram(kernel)) },
  chargen: { port: 19, start: (kernel, port) => startPlain('chargen', port, new Chargen(kernel), null) },
  hello: { port: 8080, start: (kernel, port) => startPlain('hello', port, new Hello(kernel), null) },
} as const satisfies Record<string, Kind>;

export type ServiceName = keyof typeof KINDS;
export const SERVICE_NAMES = Object.keys(KINDS) as ServiceName[];

export interface ServiceSpec {
  readonly name: ServiceName;
  readonly port: number;
}

/** Reads `http:80,echo:7`; a port left out is the service's own. On a mistake: a sentence that says what is accepted. */
export function parseServices(text: string): ServiceSpec[] | { error: string } {
  const specs: ServiceSpec[] = [];
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '') continue;
    const [name = '', portText, ...rest] = item.split(':');
    if (!isServiceName(name)) return { error: `unknown service '${name}'; there are ${SERVICE_NAMES.join(', ')}` };
    const port = portText === undefined ? KINDS[name].port : /^\d{1,5}$/.test(portText) ? Number(portText) : NaN;
    if (rest.length > 0 || !(port >= 1 && port <= 65535))
      return { error: `'${item}' is not NAME or NAME:PORT with a port from 1 to 65535` };
    const other = specs.find((spec) => spec.port === port);
    if (other !== undefined) return { error: `${other.name} and ${name} cannot both have port ${port}` };
    specs.push({ name, port });
  }
  return specs;
}

function isServiceName(name: string): name is ServiceName {
  return Object.hasOwn(KINDS, name);
}

export function formatServices(specs: readonly ServiceSpec[]): string {
  return specs.map((spec) => `${spec.name}:${spec.port}`).join(',');
}

/** Starts one service. Rejects with a `SysError` that says what the kernel said. */
export function startService(kernel: Kernel, spec: ServiceSpec, options: HttpOptions = {}): Promise<Service> {
  return KINDS[spec.name].start(kernel, spec.port, options);
}

async function startPlain(name: string, port: number, stream: StreamService, dgram: DgramService | null): Promise<Service> {
  const addr = sockAddr(ANY4, port);
  const check = (err: Errno | null): void => {
    if (err !== null) throw new SysError(err, 'listen', { address: '0.0.0.0', port });
  };
  check(stream.listen(addr));
  const dgramErr = dgram === null ? null : dgram.listen(addr);
  if (dgramErr !== null) await stream.close(0);
  check(dgramErr);
  return {
    name,
    port,
    close: async (limitMs) => {
      await dgram?.close();
      await stream.close(limitMs);
    },
  };
}
