/** What the services do, whatever carries them. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SockAddr } from '../../src/kern/socket/protosw.ts';
import type { NetServer, NetSocket } from '../../src/node/net.ts';
import { CHARGEN_PERIOD, Chargen } from '../../src/services/chargen.ts';
import { DiscardStream } from '../../src/services/discard.ts';
import { EchoStream } from '../../src/services/echo.ts';
import { HELLO_HEAD_MAX, Hello } from '../../src/services/hello.ts';
import { HttpService } from '../../src/services/http.ts';
import { patternByte } from '../../src/services/pattern.ts';
import type { StreamService } from '../../src/services/service.ts';
import type { Place } from '../node/places.ts';
import { collect, drip, run, settle } from './world.ts';

export function serviceSuite(name: string, makePlace: () => Promise<Place>, addr: SockAddr): void {
  describe(`services over ${name}`, () => {
    let place: Place;
    const sockets: NetSocket[] = [];
    beforeEach(async () => {
      place = await makePlace();
    });
    afterEach(() => {
      for (const socket of sockets.splice(0)) socket.on('error', () => undefined).destroy();
      place.stop();
    });

    function start<T extends StreamService>(service: T): T {
      expect(service.listen(addr)).toBe(null);
      return service;
    }
    function connect(options = {}): NetSocket {
      const socket = place.client.connect({ ...place.to, ...options });
      sockets.push(socket);
      return socket;
    }

    describe('echo', () => {
      it('sends back what it gets, and ends when the peer does', async () => {
        const echo = start(new EchoStream(place.b));
        const client = connect({ allowHalfOpen: true });
        client.end(Buffer.alloc(1_000_000, 'abc'));
        const got = await settle(place, collect(client), 600_000);
        expect(got.equals(Buffer.alloc(1_000_000, 'abc'))).toBe(true);
        expect(echo.counters).toMatchObject({ accepted: 1, received: 1_000_000, sent: 1_000_000 });
      });

      it('waits for a peer that does not read, with bounded memory', async () => {
        const echo = start(new EchoStream(place.b));
        const client = connect({ allowHalfOpen: true });
        client.pause();
        const size = 8_000_000;
        client.end(Buffer.alloc(size, 'x'));
        await run(place, 20_000);
        const stuck = echo.counters.received;
        expect(stuck).toBeLessThan(size);
        await run(place, 5_000);
        // A window that is shut but for less than its grain takes a probe's byte now and then (RFC 7323 §2.4).
        expect(echo.counters.received).toBeLessThan(stuck + 1_000);
        expect((await settle(place, collect(client), 600_000)).length).toBe(size);
      });

      it('closes in order: what is in flight is finished', async () => {
        const echo = start(new EchoStream(place.b));
        const client = connect();
        client.write('last words');
        await run(place, 100);
        let closed = false;
        const closing = echo.close(1_000).then(() => (closed = true));
        expect(String(await settle(place, collect(client)))).toBe('last words');
        await settle(place, closing);
        expect(closed).toBe(true);
        const late = connect();
        const [err] = (await settle(place, once(late, 'error'))) as [NodeJS.ErrnoException];
        expect(err.syscall).toBe('connect');
      });
    });

    it('discard takes everything and answers nothing', async () => {
      const discard = start(new DiscardStream(place.b));
      const client = connect();
      client.end(Buffer.alloc(3_000_000));
      expect((await settle(place, collect(client), 600_000)).length).toBe(0);
      expect(discard.counters).toMatchObject({ accepted: 1, closed: 1, received: 3_000_000 });
    });

    it('chargen sends the pattern of RFC 864 until the peer has enough', async () => {
      const chargen = start(new Chargen(place.b));
      const client = connect();
      const chunks: Buffer[] = [];
      let total = 0;
      client.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        total += chunk.length;
        if (total > 500_000) client.destroy();
      });
      await settle(place, once(client, 'close'), 600_000);
      const text = Buffer.concat(chunks).toString('latin1');
      const lines = text.split('\r\n');
      expect(lines[0]).toBe(` !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_\`abcdefg`);
      expect(lines[1]).toBe(`!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_\`abcdefgh`);
      expect(lines.slice(0, -1).every((line) => line.length === 72)).toBe(true);
      const period = text.slice(0, CHARGEN_PERIOD);
      expect(text.startsWith(period.repeat(Math.floor(total / CHARGEN_PERIOD)))).toBe(true);
      await run(place, 5_000);
      expect(chargen.counters.closed).toBe(1);
    });

    describe('hello', () => {
      const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
      const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello';
      const OK_CLOSE = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhello';

      async function ask(request: string, piece = request.length): Promise<string> {
        const client = connect({ allowHalfOpen: true, noDelay: true });
        await settle(place, once(client, 'connect'));
        drip(place, client, Buffer.from(request, 'latin1'), piece);
        place.sim.after(request.length + 100, () => client.end());
        return String(await settle(place, collect(client), 120_000));
      }

      it.each([
        ['one request', GET, 1000, OK],
        ['a request byte by byte', GET, 1, OK],
        ['a request that ends between CR and LF', GET, GET.length - 1, OK],
        ['three in one piece', GET.repeat(3), 1000, OK.repeat(3)],
        ['three in odd pieces', GET.repeat(3), 7, OK.repeat(3)],
        ['empty lines before a request', `\r\n\r\n${GET}`, 1000, OK],
        ['a request that wants to close, and one behind it', `GET / HTTP/1.1\r\nConnection: close\r\n\r\n${GET}`, 1000, OK_CLOSE],
        ['the same byte by byte', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 1, OK_CLOSE],
        ['any case and spacing', 'GET / HTTP/1.1\r\ncOnNeCtIoN: \t CLOSE \r\nHost: x\r\n\r\n', 5, OK_CLOSE],
        ['close in a list', 'GET / HTTP/1.1\r\nConnection: keep-alive, close, te\r\n\r\n', 1000, OK_CLOSE],
        ['no close where it is not a token', 'GET / HTTP/1.1\r\nConnection: closed\r\n\r\n', 1000, OK],
        ['no close in another field', 'GET / HTTP/1.1\r\nX-Connection: close\r\nConnectio: close\r\n\r\n', 1000, OK],
        ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', 3, OK_CLOSE],
        ['half a request', 'GET / HTTP/1.1\r\nHost', 1000, ''],
      ])('answers %s', async (_what, request, piece, answer) => {
        start(new Hello(place.b));
        expect(await ask(request, piece)).toBe(answer);
      });

      it('refuses a head that is too long', async () => {
        start(new Hello(place.b));
        const long = `GET / HTTP/1.1\r\nX: ${'y'.repeat(HELLO_HEAD_MAX)}`;
        const client = connect();
        client.on('error', () => undefined);
        client.write(long);
        expect(String(await settle(place, collect(client)))).toMatch(/^HTTP\/1\.1 431 /);
      });

      it('loses none of thousands of pipelined requests of a peer that reads late', async () => {
        const hello = start(new Hello(place.b));
        const client = connect({ allowHalfOpen: true });
        client.pause();
        const n = 20_000;
        client.end(GET.repeat(n));
        await run(place, 20_000);
        expect(hello.counters.sent).toBeLessThan(n * OK.length);
        const text = String(await settle(place, collect(client), 600_000));
        expect(text.length).toBe(n * OK.length);
        expect(text === OK.repeat(n)).toBe(true);
      });
    });

    describe('http', () => {
      let listener: NetServer;
      let agent: http.Agent;

      beforeEach(async () => {
        const service = new HttpService(place.b);
        listener = await settle(place, service.listenOn(place.listen));
        agent = new http.Agent({ keepAlive: true });
        agent.createConnection = () => connect();
      });
      afterEach(() => {
        agent.destroy();
        listener.close();
      });

      interface Reply {
        status: number;
        headers: http.IncomingHttpHeaders;
        body: Buffer;
      }

      async function request(method: string, path: string, body?: Buffer): Promise<Reply> {
        const req = http.request({ agent, method, path });
        req.end(body);
        const answer = async (): Promise<Reply> => {
          const [res] = (await once(req, 'response')) as [http.IncomingMessage];
          return { status: res.statusCode ?? 0, headers: res.headers, body: await collect(res) };
        };
        return settle(place, answer(), 600_000);
      }

      it('greets with the name of the stack', async () => {
        const { status, body } = await request('GET', '/');
        expect(status).toBe(200);
        expect(String(body)).toContain(`'${place.b.netstack.name}'`);
      });

      it('sends the pattern in any length, and its digest', async () => {
        for (const n of [0, 1, 65521, 300_000, 2_000_000]) {
          const { status, headers, body } = await request('GET', `/bytes/${n}`);
          expect(status).toBe(200);
          expect(headers['content-length']).toBe(String(n));
          expect(body.length).toBe(n);
          const expected = Buffer.alloc(n);
          for (let i = 0; i < n; i++) expected[i] = patternByte(i);
          expect(body.equals(expected)).toBe(true);
          const digest = await request('GET', `/bytes/${n}?sha256`);
          expect(String(digest.body).trim()).toBe(createHash('sha256').update(expected).digest('hex'));
        }
      });

      it('promises the length of the largest transfer without making it', async () => {
        const { status, headers, body } = await request('HEAD', `/bytes/${2 ** 53}`);
        expect(status).toBe(200);
        expect(headers['content-length']).toBe('9007199254740992');
        expect(body.length).toBe(0);
      });

      it.each([
        '/bytes/',
        '/bytes/-1',
        '/bytes/1.5',
        '/bytes/x',
        '/bytes/9007199254740993',
        '/bytes/99999999999999999',
        '/bytes/1?md5',
        `/bytes/${2 ** 33}?sha256`,
      ])('refuses GET %s', async (path) => {
        expect((await request('GET', path)).status).toBe(400);
      });

      it('counts and hashes what it is sent', async () => {
        const body = Buffer.alloc(1_500_000, 'sink');
        for (const method of ['POST', 'PUT']) {
          const reply = await request(method, '/sink', body);
          expect(reply.status).toBe(200);
          expect(JSON.parse(String(reply.body))).toEqual({
            bytes: body.length,
            sha256: createHash('sha256').update(body).digest('hex'),
          });
        }
      });

      it('shows the kernel in JSON', async () => {
        const { headers, body } = await request('GET', '/stats');
        expect(headers['content-type']).toBe('application/json');
        const stats = JSON.parse(String(body)) as { stack: string; interfaces: unknown[]; counters: Record<string, unknown> };
        expect(stats.stack).toBe(place.b.netstack.name);
        expect(stats.interfaces.length).toBe(place.b.ifnets.all().length);
        expect(stats.counters).toHaveProperty('socket');
      });

      it('answers 404 and 405', async () => {
        expect((await request('GET', '/nothing')).status).toBe(404);
        const post = await request('POST', '/');
        expect(post.status).toBe(405);
        expect(post.headers.allow).toBe('GET, HEAD');
        expect((await request('GET', '/sink')).headers.allow).toBe('POST, PUT');
      });

      it('stops producing for a client that went away', async () => {
        const client = connect();
        client.on('error', () => undefined);
        client.write('GET /bytes/9007199254740992 HTTP/1.1\r\nHost: x\r\n\r\n');
        await settle(place, once(client, 'data'));
        client.destroy();
        await run(place, 120_000);
        expect(await settle(place, new Promise((resolve) => listener.getConnections((_e, n) => resolve(n))))).toBe(0);
      });
    });
  });
}
