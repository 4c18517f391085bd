/** The example of README.md, as printed there (`readme.test.ts` compares). */
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { simulate } from 'netmod/sim';

// The program, as it runs in production: Node's own http, which knows nothing of a simulation.
const app = http.createServer((req, res) => void req.pipe(res));
const post = (url: string, body: string, options: http.RequestOptions) =>
  new Promise<string>((resolve, reject) => {
    const req = http.request(url, { ...options, method: 'POST' }, (res) => resolve(text(res)));
    req.on('error', reject).end(body);
  });

it('echoes a megabyte through 5 % loss', () =>
  simulate({ runs: 5 }, async (sim) => {
    const client = sim.host('client');
    const server = sim.host('server', { stack: 'alt' });
    sim.link(client, server, { delayMs: 20, rateBps: 10e6, lossPercent: 5 });
    server.serve(app, { port: 80 });

    const body = 'x'.repeat(1e6);
    expect(await post('http://server/', body, { agent: client.agent })).toBe(body);
    expect(sim.nowMs()).toBeLessThan(60_000); // virtual: the test takes a second
  }));
