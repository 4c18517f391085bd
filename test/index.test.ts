/** The library as its users see it: the program of docs/guides/library.md, on every pairing of the stacks. */
import http from 'node:http';
import { describe, expect, it } from 'vitest';
import {
  Kernel,
  NetAgent,
  alt,
  createLo,
  createNet,
  createPair,
  ifconfig,
  inet,
  isErrno,
  listenHttp,
  realEffects,
} from '../src/index.ts';
import type { Link, ModuleSpec } from '../src/index.ts';

describe('the library', () => {
  it.each([
    ['inet', inet, 'inet', inet],
    ['inet', inet, 'alt', alt],
    ['alt', alt, 'inet', inet],
    ['alt', alt, 'alt', alt],
  ] as const)('%s fetches a page from %s, in one process', async (_a, clientStack, _b, serverStack) => {
    const effects = realEffects({ log: 'error' });
    const start = (stack: ModuleSpec, link: Link, address: string): Kernel => {
      const kernel = new Kernel(effects);
      const failure = kernel.modules.preload(stack) ?? kernel.boot();
      if (failure !== null) throw new Error(failure.message);
      const lo = kernel.ifnets.attach('lo', 0, createLo(effects));
      const ifp = kernel.ifnets.attach('pair', 0, link);
      if (isErrno(lo) || isErrno(ifp)) throw new Error('attach');
      expect(ifconfig(kernel, lo, '127.0.0.1/8')).toBeNull();
      expect(ifconfig(kernel, ifp, address)).toBeNull();
      return kernel;
    };
    const [one, two] = createPair(effects);
    const client = start(clientStack, one, '10.0.0.1/24');
    const server = start(serverStack, two, '10.0.0.2/24');

    const web = http.createServer((req, res) => res.end(`you asked for ${req.url ?? ''}`));
    const listener = listenHttp(createNet(server), web, { port: 80, host: '10.0.0.2' });
    await new Promise<void>((resolve) => listener.once('listening', resolve));

    const agent = new NetAgent(createNet(client));
    const text = await new Promise<string>((resolve, reject) => {
      http
        .get('http://10.0.0.2/hello', { agent }, (res) => {
          let body = '';
          res.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          res.on('end', () => resolve(body));
        })
        .on('error', reject);
    });
    expect(text).toBe('you asked for /hello');
    agent.destroy();
    client.shutdown();
    server.shutdown();
  });
});
