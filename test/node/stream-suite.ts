/** What a stream socket of the Node API does, whatever carries it. */
import { once } from 'node:events';
import http from 'node:http';
import { finished } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetAgent, listenHttp } from '../../src/node/http.ts';
import type { ConnectArgs } from '../../src/node/connect.ts';
import type { NetServer, NetSocket } from '../../src/node/net.ts';
import type { Place } from './places.ts';

const SLICE_MS = 50;

/** `batches` false: a stack that sends each write at once, one segment each. */
export function streamSuite(name: string, makePlace: () => Promise<Place>, { batches = true } = {}): void {
  const alone = batches ? '' : ' (skipped: this stack sends each write by itself)';
  describe(`net over ${name}`, () => {
    let place: Place;
    let servers: NetServer[];
    /** Both ends of all connections: a kernel that stops must not find any that nobody listens to. */
    let sockets: NetSocket[];

    beforeEach(async () => {
      place = await makePlace();
      servers = [];
      sockets = [];
    });
    afterEach(() => {
      for (const server of servers) server.close();
      for (const socket of sockets) socket.on('error', () => undefined).destroy();
      place.stop();
    });

    /** Runs the world until `what` is settled. */
    async function settle<T>(what: Promise<T>, maxMs = 60_000): Promise<T> {
      let done = false;
      const seen = what.finally(() => (done = true));
      seen.catch(() => undefined);
      // In slices: in the local domain nothing waits for virtual time, so streams need turns of the host between them.
      for (let ms = 0; ms < maxMs && !done; ms += SLICE_MS) await place.sim.runUntilAsync(() => done, SLICE_MS);
      expect(done, 'still waiting at the end of the time for it').toBe(true);
      return seen;
    }

    async function run(ms: number): Promise<void> {
      for (let at = 0; at < ms; at += SLICE_MS) await place.sim.runAsync(Math.min(SLICE_MS, ms - at));
    }

    function connect(...args: ConnectArgs): NetSocket {
      const socket = place.client.connect(...args);
      sockets.push(socket);
      return socket;
    }

    function serve(onConnection: (socket: NetSocket) => void, options = {}): NetServer {
      const server = place.server.createServer(options, onConnection);
      server.on('connection', (socket: NetSocket) => sockets.push(socket));
      servers.push(server);
      return server.listen(place.listen);
    }

    async function collect(socket: NodeJS.ReadableStream): Promise<Buffer> {
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks);
    }

    it('connects, echoes, and ends on both sides', async () => {
      const events: string[] = [];
      serve((socket) => {
        socket.on('data', (chunk) => socket.write(chunk));
        socket.on('close', (hadError: boolean) => events.push(`server close ${hadError}`));
      });
      const client = connect(place.to);
      for (const event of ['connect', 'ready', 'end'] as const) client.on(event, () => events.push(event));
      client.on('close', (hadError: boolean) => events.push(`close ${hadError}`));
      expect(client.connecting).toBe(true);
      expect(client.readyState).toBe('opening');
      client.write('hello ');
      client.end('world');
      expect(String(await settle(collect(client)))).toBe('hello world');
      await run(100);
      expect(events.filter((event) => event !== 'server close false')).toEqual(['connect', 'ready', 'end', 'close false']);
      expect(events).toContain('server close false');
      expect(client.bytesRead).toBe(11);
      expect(client.bytesWritten).toBe(11);
      expect(client.destroyed).toBe(true);
    });

    it('keeps the other half open where it is asked to', async () => {
      let heard = '';
      serve(
        (socket) => {
          socket.on('data', (chunk) => (heard += chunk));
          socket.on('end', () => {
            expect(socket.readyState).toBe('writeOnly');
            socket.write('late ');
            socket.end('answer');
          });
        },
        { allowHalfOpen: true },
      );
      const client = connect({ ...place.to, allowHalfOpen: true });
      client.end('question');
      expect(String(await settle(collect(client)))).toBe('late answer');
      expect(heard).toBe('question');
    });

    it('ends its own side when the peer has ended, and refuses to write then', async () => {
      serve((socket) => socket.end('bye'));
      const client = connect(place.to);
      client.resume();
      await settle(once(client, 'close'));
      const err = await settle(new Promise((resolve) => client.write('too late', resolve)));
      expect(err).toMatchObject({ code: 'EPIPE', syscall: 'write' });
    });

    it('moves megabytes both ways, byte for byte', async () => {
      const size = 3_000_000;
      const sent = Buffer.alloc(size);
      for (let i = 0; i < size; i++) sent[i] = (i * 7 + (i >>> 8)) & 255;
      serve((socket) => socket.pipe(socket), { allowHalfOpen: true });
      const client = connect({ ...place.to, allowHalfOpen: true });
      client.end(sent);
      const got = await settle(collect(client), 600_000);
      expect(got.length).toBe(size);
      expect(got.equals(sent)).toBe(true);
    });

    it('holds the writer back while nobody reads, and loses nothing', async () => {
      let peer: NetSocket | null = null;
      serve((socket) => {
        peer = socket;
        socket.pause();
      });
      const client = connect(place.to);
      await settle(once(client, 'connect'));
      const chunk = Buffer.alloc(65536, 'x');
      let accepted = 0;
      let written = 0;
      for (let i = 0; i < 200; i++) {
        accepted++;
        if (!client.write(chunk, () => written++)) break;
      }
      // The stream says stop; what it then takes is kept, not sent.
      for (; accepted < 200; accepted++) client.write(chunk, () => written++);
      await run(5_000);
      expect(written).toBeLessThan(100);
      const stuck = written;
      await run(5_000);
      expect(written).toBe(stuck);
      client.end();
      let total = 0;
      peer!.on('data', (data: Buffer) => (total += data.length));
      peer!.resume();
      await settle(finished(peer!, { writable: false }), 600_000);
      expect(total).toBe(200 * 65536);
      expect(written).toBe(200);
    });

    it.runIf(batches)(`writes corked chunks as one${alone}`, async () => {
      const chunks: string[] = [];
      serve((socket) => socket.on('data', (chunk) => chunks.push(String(chunk))));
      const client = connect(place.to);
      await settle(once(client, 'connect'));
      client.cork();
      client.write('a');
      client.write('b');
      client.write('c');
      client.uncork();
      await run(200);
      expect(chunks).toEqual(['abc']);
    });

    it.runIf(batches)(`takes many small segments of a batch up as few chunks${alone}`, async () => {
      let chunks = 0;
      let total = 0;
      serve((socket) =>
        socket.on('data', (chunk: Buffer) => {
          chunks++;
          total += chunk.length;
        }),
      );
      const client = connect({ ...place.to, noDelay: true });
      client.write(Buffer.alloc(100_000));
      await run(1_000);
      expect(total).toBe(100_000);
      expect(chunks).toBeLessThan(40);
    });

    it('says when nothing has happened for a while, in virtual time', async () => {
      serve(() => undefined);
      const client = connect(place.to);
      await settle(once(client, 'connect'));
      const start = place.sim.nowMs();
      const times: number[] = [];
      client.setTimeout(5_000, () => times.push(place.sim.nowMs() - start));
      expect(client.timeout).toBe(5_000);
      place.sim.after(3_000, () => client.write('x'));
      await run(20_000);
      expect(times.length).toBe(1);
      expect(times[0]).toBeGreaterThanOrEqual(8_000);
      expect(times[0]).toBeLessThan(8_010);
      expect(client.destroyed).toBe(false);
      client.setTimeout(0);
      client.destroy();
    });

    it('reports the connection that is refused', async () => {
      const client = connect(place.to);
      const [err] = (await settle(once(client, 'error'))) as [NodeJS.ErrnoException & { address: string; port?: number }];
      expect(err.code).toBe(place.to.path === undefined ? 'ECONNREFUSED' : 'ENOENT');
      expect(err.syscall).toBe('connect');
      expect(err.errno).toBeLessThan(0);
      if (place.to.path === undefined) {
        expect(err.address).toBe('10.0.0.2');
        expect(err.port).toBe(place.to.port);
        expect(err.message).toBe(`connect ECONNREFUSED 10.0.0.2:${place.to.port}`);
      }
      expect(client.destroyed).toBe(true);
    });

    it('reports a name that nobody knows', async () => {
      const client = connect({ host: 'nowhere.invalid', port: 80 });
      const lookups: unknown[] = [];
      client.on('lookup', (...args) => lookups.push(args[3]));
      const [err] = (await settle(once(client, 'error'))) as [NodeJS.ErrnoException];
      expect(err.code).toBe('ENOTFOUND');
      expect(lookups).toEqual(['nowhere.invalid']);
    });

    it('stops before it has connected', async () => {
      serve(() => undefined);
      const client = connect(place.to);
      client.destroy();
      const [hadError] = (await settle(once(client, 'close'))) as [boolean];
      expect(hadError).toBe(false);
      await run(1_000);
      expect(client.connecting).toBe(false);
      expect(client.readyState).toBe('closed');
    });

    it('connects the same socket again', async () => {
      serve((socket) => socket.end('x'));
      const client = connect(place.to);
      client.resume();
      await settle(once(client, 'close'));
      client.connect(place.to);
      client.resume();
      await settle(once(client, 'close'));
      expect(client.bytesRead).toBe(1);
    });

    it('counts, limits and closes connections', async () => {
      const server = serve(() => undefined);
      server.maxConnections = 2;
      let drops = 0;
      server.on('drop', () => drops++);
      const clients = [0, 1, 2].map(() => connect(place.to));
      for (const client of clients) client.on('error', () => undefined).resume();
      // Time for a SYN to be sent again: a stack may keep only one packet while it asks for the neighbour.
      await run(5_000);
      expect(drops).toBe(1);
      expect(await settle(new Promise((resolve) => server.getConnections((_err, n) => resolve(n))))).toBe(2);
      let closed = false;
      server.close(() => (closed = true));
      await run(1_000);
      expect(server.listening).toBe(false);
      expect(closed).toBe(false);
      for (const client of clients) client.destroy();
      await run(1_000);
      expect(closed).toBe(true);
    });

    it('tells who listens already, and what is wrong with a call', async () => {
      const server = serve(() => undefined);
      expect(() => server.listen(place.listen)).toThrow(expect.objectContaining({ code: 'ERR_SERVER_ALREADY_LISTEN' }));
      const other = place.server.createServer().listen(place.listen);
      const [err] = (await settle(once(other, 'error'))) as [NodeJS.ErrnoException];
      expect(err.code).toBe('EADDRINUSE');
      expect(err.syscall).toBe('listen');
      expect(() => connect({ port: 70_000 })).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
      expect(() => new place.client.Socket().setTimeout(-1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
      await settle(
        new Promise<void>((resolve) =>
          other.close((e) => (expect(e).toMatchObject({ code: 'ERR_SERVER_NOT_RUNNING' }), resolve())),
        ),
      );
    });

    it('makes an exception of the user an uncaught one, and goes on', async () => {
      serve((socket) =>
        socket.on('data', (chunk) => {
          if (String(chunk) === 'boom') throw new Error('user code');
          socket.write('ok');
        }),
      );
      const client = connect(place.to);
      await settle(once(client, 'connect'));
      client.write('boom');
      await expect(run(1_000)).rejects.toThrow('user code');
      const answer = once(client, 'data');
      client.write('fine');
      expect(String((await settle(answer))[0])).toBe('ok');
    });

    it("runs Node's own http, server and client, unmodified", async () => {
      const server = http.createServer((req, res) => {
        let body = 0;
        req.on('data', (chunk: Buffer) => (body += chunk.length));
        req.on('end', () => {
          res.setHeader('X-Method', req.method ?? '');
          res.end(`${req.url} ${body}`);
        });
      });
      const listener = listenHttp(place.server, server, place.listen);
      listener.on('connection', (socket: NetSocket) => sockets.push(socket));
      servers.push(listener);
      const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
      let connections = 0;
      agent.createConnection = () => {
        connections++;
        return connect(place.to);
      };
      const ask = async (path: string, body: Buffer | null): Promise<string> => {
        const req = http.request({ agent, path, method: body === null ? 'GET' : 'POST' });
        req.end(body ?? undefined);
        const [res] = (await once(req, 'response')) as [http.IncomingMessage];
        return String(await collect(res));
      };
      expect(await settle(ask('/one', null))).toBe('/one 0');
      expect(await settle(ask('/two', Buffer.alloc(500_000)))).toBe('/two 500000');
      const many = await settle(Promise.all(Array.from({ length: 20 }, (_, i) => ask(`/${i}`, Buffer.alloc(i * 1000)))));
      expect(many).toEqual(Array.from({ length: 20 }, (_, i) => `/${i} ${i * 1000}`));
      expect(connections).toBeLessThanOrEqual(3);
      agent.destroy();
    });

    it('has no idle time any more when it is destroyed', async () => {
      serve(() => undefined);
      const client = connect(place.to);
      await settle(once(client, 'connect'));
      let timeouts = 0;
      client.on('timeout', () => timeouts++);
      client.destroy();
      client.setTimeout(1_000);
      await run(5_000);
      expect(timeouts).toBe(0);
    });

    it('refuses a local address that is none at once', () => {
      const options = { host: '10.0.0.2', port: 80 };
      expect(() => connect({ ...options, localAddress: 'nonsense' })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_IP_ADDRESS' }),
      );
      expect(() => connect({ ...options, localPort: 70_000 })).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    });

    it('stops to listen by a signal that came before', async () => {
      const server = place.server.createServer();
      servers.push(server);
      const closed = once(server, 'close');
      server.listen({ ...place.listen, signal: AbortSignal.abort() });
      await settle(closed, 1_000);
      expect(server.listening).toBe(false);
    });

    it('an agent connects with the options of its request', async () => {
      if (place.to.path !== undefined) return;
      const server = http.createServer((req, res) => req.on('end', () => res.end('here')).resume());
      const listener = listenHttp(place.server, server, place.listen);
      listener.on('connection', (socket: NetSocket) => sockets.push(socket));
      servers.push(listener);
      const agent = new NetAgent(place.client, { keepAlive: true });
      const req = http.request({
        agent,
        method: 'POST',
        host: 'named.example',
        port: place.to.port as number,
        lookup: (_name, _options, done) => done(null, '10.0.0.2', 4),
      });
      const start = place.sim.nowMs();
      for (let i = 0; i < 10; i++) {
        req.write('small');
        await run(1);
      }
      req.end();
      const [res] = (await settle(once(req, 'response'))) as [http.IncomingMessage];
      expect(String(await settle(collect(res)))).toBe('here');
      // Nothing was held back for an acknowledgement that the server delays.
      expect(place.sim.nowMs() - start).toBeLessThan(90);
      agent.destroy();
    });

    it('ends a connection with a reset', async () => {
      let error: NodeJS.ErrnoException | null = null;
      serve((socket) => {
        socket.on('error', (err) => (error = err));
        socket.resume();
      });
      const client = connect(place.to);
      await settle(once(client, 'connect'));
      client.write('x');
      await run(100);
      client.resetAndDestroy();
      await run(1_000);
      expect(client.destroyed).toBe(true);
      if (place.to.path === undefined) expect(error).toMatchObject({ code: 'ECONNRESET', syscall: 'read' });
    });
  });
}
