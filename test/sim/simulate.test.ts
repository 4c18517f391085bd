/** `simulate`: programs with promises, streams, timers and files in virtual time, and what a failure says. */
import http from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { SimulationStuck, type Simulation, simulate } from '../../src/sim/index.ts';

const realSetTimeout = globalThis.setTimeout;
const realDate = globalThis.Date;
const NO_ENV = {};

afterEach(() => {
  expect(globalThis.setTimeout).toBe(realSetTimeout);
  expect(globalThis.Date).toBe(realDate);
});

/** Client and server behind a cable. */
function two(sim: Simulation, conditions = {}) {
  const [client, server] = [sim.host('client'), sim.host('server', { stack: 'alt' })];
  return { client, server, cable: sim.link(client, server, { delayMs: 20, ...conditions }) };
}

async function failure(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}

describe('time', () => {
  it('passes for sleep, the global timers, Date and performance.now alike, and costs none', async () => {
    const began = process.hrtime.bigint();
    await simulate({ maxMs: 1e9 }, async (sim) => {
      const date = Date.now();
      await sim.sleep(86_400_000);
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await promisify(setTimeout)(500, 'value')).toBe('value');
      expect(sim.nowMs()).toBe(86_401_000);
      expect(Date.now() - date).toBe(86_401_000);
      expect(new Date().getTime()).toBe(Date.now());
      expect(new Date(5).getTime()).toBe(5);
      expect(new Date()).toBeInstanceOf(Date);
      expect(performance.now()).toBe(86_401_000);
      const fired: string[] = [];
      const at = (what: string) => fired.push(`${what} ${sim.nowMs() - 86_401_000}`);
      const interval = setInterval(() => at('interval') === 2 && clearInterval(interval), 1000);
      const never = setTimeout(() => expect.unreachable(), 10);
      clearTimeout(never);
      const later = sim.setTimeout(at, 1500, 'later');
      await sim.sleep(1200);
      later.refresh();
      await sim.sleep(5000);
      expect(fired).toEqual(['interval 1000', 'interval 2000', 'later 2700']);
    });
    expect(Number(process.hrtime.bigint() - began) / 1e6).toBeLessThan(10_000);
  });

  it('timers have numbers to clear them by, and AbortSignal.timeout is virtual', async () => {
    const { timeout } = AbortSignal;
    await simulate(async (sim) => {
      const fired: string[] = [];
      clearTimeout(Number(setTimeout(() => fired.push('number'), 10)));
      clearInterval(String(Number(setInterval(() => fired.push('text'), 10))));
      clearTimeout(undefined);
      setTimeout(() => fired.push('kept'), '20' as unknown as number);
      const signal = AbortSignal.timeout(5000);
      await sim.sleep(4999);
      expect(fired).toEqual(['kept']);
      expect(signal.aborted).toBe(false);
      await sim.sleep(1);
      expect(signal.aborted).toBe(true);
      expect(signal.reason).toMatchObject({ name: 'TimeoutError' });
    });
    expect(AbortSignal.timeout).toBe(timeout);
  });

  it('leaves the global timers alone when told so, and two simulations cannot have them at once', async () => {
    await simulate({ globals: false }, async (sim) => {
      expect(setTimeout).toBe(realSetTimeout);
      await sim.sleep(10);
    });
    await simulate(async () => {
      expect((await failure(simulate(async () => undefined))).message).toMatch(/another simulation/);
    });
  });

  it('stands still while the host reads files, and for what is held', async () => {
    await simulate(async (sim) => {
      two(sim);
      await sim.sleep(1);
      const events: number[] = [];
      const ticker = sim.setInterval(() => events.push(sim.nowMs()), 1);
      expect((await readFile(new URL('../../package.json', import.meta.url), 'utf8')).length).toBeGreaterThan(0);
      const duringFile = events.length;
      await sim.hold(promisify(gzip)(Buffer.alloc(5e6)));
      const duringGzip = events.length - duringFile;
      ticker.close();
      expect(duringFile).toBeLessThan(20);
      expect(duringGzip).toBeLessThan(20);
    });
  });

  it('waits for a condition', async () => {
    await simulate(async (sim) => {
      let ready = false;
      sim.setTimeout(() => (ready = true), 250);
      expect(await sim.until(() => ready, 200)).toBe(false);
      expect(sim.nowMs()).toBe(200);
      expect(await sim.until(() => ready)).toBe(true);
      expect(sim.nowMs()).toBe(250);
      await expect(
        sim.until(() => {
          throw new Error('in the condition');
        }),
      ).rejects.toThrow('in the condition');
    });
  });
});

describe('programs', () => {
  it('net: names, streams with back-pressure, ends', async () => {
    await simulate({ runs: 3 }, async (sim) => {
      const { client, server } = two(sim, { lossPercent: 3, rateBps: 20e6 });
      const listener = server.net.createServer((socket) => socket.pipe(socket)).listen(7);
      const socket = client.net.connect({ host: 'server', port: 7 });
      const sent = 'exactly '.repeat(100_000);
      socket.end(sent);
      await once(socket, 'connect');
      expect(socket.remoteAddress).toBe('10.0.0.2');
      expect(await text(socket)).toBe(sent);
      listener.close();
      await once(listener, 'close');
      const nobody = client.net.connect({ host: 'nowhere', port: 7 });
      expect(await once(nobody, 'error')).toMatchObject([{ code: 'ENOTFOUND' }]);
    });
  });

  it('dgram', async () => {
    await simulate(async (sim) => {
      const { client, server, cable } = two(sim);
      const socket = server.dgram.createSocket('udp4').bind(53);
      const sender = client.dgram.createSocket('udp4');
      sender.send('one', 53, server.address);
      const [message] = (await once(socket, 'message')) as [Buffer];
      expect(String(message)).toBe('one');
      cable.cut();
      let more = 0;
      socket.on('message', () => more++);
      sender.send('two', 53, server.address);
      await sim.sleep(1000);
      expect(more).toBe(0);
    });
  });

  it('dgram finds hosts by name, as net does', async () => {
    await simulate(async (sim) => {
      const { client, server } = two(sim);
      const socket = server.dgram.createSocket('udp4').bind(53);
      const said: string[] = [];
      socket.on('message', (message) => said.push(String(message)));
      const sender = client.dgram.createSocket('udp4');
      sender.send('one', 53, 'server');
      sender.send('-two-', 1, 3, 53, 'server');
      const connected = client.dgram.createSocket('udp4');
      connected.connect(53, 'server', () => connected.send('three'));
      await sim.sleep(1000);
      expect(said).toEqual(['one', 'two', 'three']);
      expect(connected.remoteAddress()).toMatchObject({ address: server.address, port: 53 });
      const error = await new Promise((resolve) => sender.send('x', 53, 'nowhere', resolve));
      expect(error).toMatchObject({ code: 'ENOTFOUND' });
      sender.send('x', 53, 'nowhere');
      expect(await once(sender, 'error')).toMatchObject([{ code: 'ENOTFOUND' }]);
    });
  });

  it("http as the host's own: createServer, listen, get, keep-alive, close", async () => {
    await simulate(async (sim) => {
      const { client, server } = two(sim, { lossPercent: 5 });
      const web = server.http.createServer((req, res) => res.end(`${req.method} ${req.url} of ${req.headers.host}`));
      await new Promise<void>((resolve) => web.listen(8080, resolve));
      expect(web.listening).toBe(true);
      expect(web.address()).toMatchObject({ port: 8080 });
      const ask = (path: string): Promise<string> =>
        new Promise((resolve, reject) => {
          client.http.get(`http://server:8080${path}`, (res) => resolve(text(res))).on('error', reject);
        });
      expect(await ask('/a')).toBe('GET /a of server:8080');
      expect(await ask('/b')).toBe('GET /b of server:8080');
      expect(client.kernel.counters.get('tcp', 'connattempt')).toBe(1);
      await new Promise((resolve) => web.close(resolve));
      expect(web.listening).toBe(false);
      // The client hears of the end of its idle connection.
      await sim.sleep(1000);
      expect(await failure(ask('/c'))).toMatchObject({ code: 'ECONNREFUSED' });
    });
  });

  it('timeouts of requests go by virtual time', async () => {
    await simulate(async (sim) => {
      const { client, server } = two(sim);
      server.serve(
        http.createServer((_req, res) => void setTimeout(() => res.end('late'), 30_000)),
        { port: 80 },
      );
      const request = http.get('http://server/', { agent: client.agent, timeout: 2000 });
      request.on('error', () => undefined);
      await once(request, 'timeout');
      expect(sim.nowMs()).toBeGreaterThanOrEqual(2000);
      expect(sim.nowMs()).toBeLessThan(3000);
      request.destroy();
      expect(
        await text((await once(http.get('http://server/', { agent: client.agent }), 'response'))[0] as http.IncomingMessage),
      ).toBe('late');
      expect(sim.nowMs()).toBeGreaterThan(32_000);
    });
  });
});

describe('failures', () => {
  it('name the seed, in message and stack', async () => {
    let runs = 0;
    const error = await failure(
      simulate(
        { seed: 10, runs: 5 },
        async (sim) => {
          runs++;
          await sim.sleep(1234);
          if (sim.seed === 12) throw new TypeError('as it happens');
        },
        NO_ENV,
      ),
    );
    expect(runs).toBe(3);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe('as it happens\n(seed 12, 1234 ms of virtual time; to replay: NETMOD_SEED=12)');
    expect(error.stack).toContain('NETMOD_SEED=12');
  });

  it('are replayed by NETMOD_SEED alone', async () => {
    const seeds: number[] = [];
    await simulate({ seed: 1, runs: 100 }, (sim) => void seeds.push(sim.seed), { NETMOD_SEED: '42' });
    expect(seeds).toEqual([42]);
    expect((await failure(simulate({}, () => undefined, { NETMOD_SEED: 'x' }))).message).toMatch(/NETMOD_SEED/);
    expect((await failure(simulate({ runs: 0 }, () => undefined, NO_ENV))).message).toMatch(/integers/);
  });

  it('leave captures of every host where NETMOD_PCAP says', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'netmod-sim-'));
    try {
      await failure(
        simulate(
          { seed: 3 },
          async (sim) => {
            const { client, server } = two(sim);
            server.net.createServer((socket) => socket.end('hi')).listen(7);
            await text(client.net.connect(7, 'server'));
            throw new Error('now');
          },
          { NETMOD_PCAP: dir },
        ),
      );
      expect(readdirSync(dir).sort()).toEqual(['3-client.pcapng', '3-server.pcapng']);
      expect(readFileSync(join(dir, '3-client.pcapng')).readUInt32LE(0)).toBe(0x0a0d0d0a);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('come from callbacks too, and from what is no error', async () => {
    const inCallback = simulate({}, async (sim) => {
      const { client, server } = two(sim);
      server.net
        .createServer(() => {
          throw new Error('in a callback');
        })
        .listen(7);
      client.net.connect(7, 'server').on('error', () => undefined);
      await sim.sleep(1000);
    });
    expect((await failure(inCallback)).message).toMatch(/^in a callback\n\(seed/);
    expect((await failure(simulate(() => Promise.reject('a text' as unknown as Error)))).message).toMatch(/^a text\n\(seed/);
  });

  it('come from what nobody handles: async handlers, error events without a listener', async () => {
    const listeners = () => [process.listeners('uncaughtException'), process.listeners('unhandledRejection')];
    const before = listeners();
    const handler = simulate({ seed: 4 }, async (sim) => {
      const { client, server } = two(sim);
      server.net
        .createServer(() => {
          void sim.sleep(10).then(() => Promise.reject(new Error('in an async handler')));
        })
        .listen(7);
      await text(client.net.connect(7, 'server'));
    });
    const message = /\n\(seed 4, \d+ ms of virtual time; to replay: NETMOD_SEED=4\)$/;
    expect((await failure(handler)).message).toMatch(/^in an async handler\n/);
    await expect(handler).rejects.toThrow(message);
    const event = simulate({ seed: 4 }, async (sim) => {
      two(sim).client.net.connect(7, 'server');
      await sim.sleep(1000);
    });
    await expect(event).rejects.toMatchObject({ code: 'ECONNREFUSED', message: expect.stringMatching(message) as string });
    expect(listeners()).toEqual(before);
  });

  it('say when a program waits for ever, or takes too long', async () => {
    const never = await failure(simulate(() => new Promise(() => undefined)));
    expect(never).toBeInstanceOf(SimulationStuck);
    expect(never.message).toMatch(/nothing is left that could happen/);
    const long = await failure(simulate({ maxMs: 10_000 }, (sim) => sim.sleep(20_000).then(() => sim.sleep(1))));
    expect(long).toBeInstanceOf(SimulationStuck);
    expect(long.message).toMatch(/not done after 10000 ms/);
  });
});
