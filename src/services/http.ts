/**
 * The web service: Node's own `http` server on the stack (RFC 9110, 9112). `/` greets, `/bytes/N` sends N bytes (`pattern.ts`) and
 * `/bytes/N?sha256` their digest, `/sink` takes a body and answers its length and digest, `/stats` is the kernel in JSON.
 */
import { createHash } from 'node:crypto';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { Callout } from '../kern/callout.ts';
import type { Ifnet } from '../kern/ifnet/ifnet.ts';
import type { Kernel } from '../kern/kernel.ts';
import { listenHttp } from '../node/http.ts';
import { type ListenOptions, type NetServer, type NetSocket, createNet } from '../node/net.ts';
import { PatternStream, patternBlock, patternHash } from './pattern.ts';
import type { Service } from './service.ts';

/** Largest N of `/bytes/N`, and of its digest, which costs a processor's time instead of the network's. */
const MAX_BYTES = 2 ** 53;
const MAX_HASHED = 2 ** 32;
/** Time for a request's head; idle time of a connection between requests, and within one. Milliseconds. */
const HEAD_LIMIT_MS = 30_000;
const KEEP_ALIVE_MS = 15_000;
const STALL_LIMIT_MS = 300_000;

export interface HttpOptions {
  /** An accept filter by name. */
  readonly acceptFilter?: string;
}

export class HttpService {
  readonly counters = { requests: 0, badRequests: 0, bytesServed: 0, bytesSunk: 0, broken: 0 };
  readonly #kernel: Kernel;
  readonly #block = patternBlock();
  readonly #sockets = new Set<NetSocket>();
  readonly #server: http.Server;
  #closing = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 }, (req, res) => this.#serve(req, res));
    this.#server.headersTimeout = HEAD_LIMIT_MS;
    this.#server.timeout = STALL_LIMIT_MS;
  }

  /** Listens on `port` of all addresses. Rejects with the listener's error. */
  async listen(port: number, options: HttpOptions): Promise<Service> {
    const { acceptFilter } = options;
    const listener = await this.listenOn({
      port,
      host: '0.0.0.0',
      backlog: 1024,
      owner: 'http',
      ...(acceptFilter === undefined ? {} : { acceptFilter }),
    });
    const uncount = this.#kernel.counters.add('service.http', this.counters);
    return {
      name: 'http',
      port,
      close: async (limitMs) => {
        await this.#close(listener, limitMs);
        uncount();
      },
    };
  }

  /** Listens wherever `where` says. */
  async listenOn(where: ListenOptions): Promise<NetServer> {
    const listener = listenHttp(createNet(this.#kernel), this.#server, where);
    listener.on('connection', (socket: NetSocket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      listener.once('listening', resolve);
      listener.once('error', reject);
    });
    // Node's server watches over slow heads and idle connections from its own 'listening' on.
    this.#server.emit('listening');
    return listener;
  }

  async #close(listener: NetServer, limitMs: number): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    this.#server.close(() => undefined);
    this.#server.closeIdleConnections();
    // To Node a connection on which nothing has come yet is not idle.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    const limit = new Callout(this.#kernel.callouts, () => this.#abortAll(), null);
    limit.reset(limitMs);
    await closed;
    limit.stop();
  }

  #abortAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    this.counters.requests++;
    if (this.#closing) res.shouldKeepAlive = false;
    res.setHeader('Server', `netmod/${this.#kernel.netstack.name}`);
    // The path alone decides; whatever is malformed in a URL is simply not one of ours.
    const [path = '', query = ''] = (req.url ?? '').split('?', 2);
    if (path === '/') this.#read(req, res, () => this.#greet(res));
    else if (path === '/stats') this.#read(req, res, () => sendJson(res, 200, this.#stats()));
    else if (path === '/sink') this.#sink(req, res);
    else if (path.startsWith('/bytes/')) this.#read(req, res, () => this.#bytes(req, res, path.slice('/bytes/'.length), query));
    else this.#fail(req, res, 404, `no such resource; there are / /bytes/N /bytes/N?sha256 /sink /stats`);
  }

  /** Serves a resource that is only read. */
  #read(req: IncomingMessage, res: ServerResponse, serve: () => void): void {
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      return this.#fail(req, res, 405, `${req.method ?? ''} is not for this resource; use GET`);
    }
    req.resume();
    serve();
  }

  #fail(req: IncomingMessage, res: ServerResponse, status: number, why: string): void {
    this.counters.badRequests++;
    req.resume();
    sendText(res, status, `${why}\n`);
  }

  #greet(res: ServerResponse): void {
    const names = this.#kernel.ifnets.all().map((ifp) => ifp.name());
    sendText(res, 200, `Hello from the network stack '${this.#kernel.netstack.name}' of netmod, on ${names.join(', ')}.\n`);
  }

  #bytes(req: IncomingMessage, res: ServerResponse, text: string, query: string): void {
    // As a big integer first: 2^53 + 1 would become 2^53 as a number.
    const total = /^\d{1,20}$/.test(text) && BigInt(text) <= MAX_BYTES ? Number(text) : NaN;
    if (Number.isNaN(total)) return this.#fail(req, res, 400, `N of /bytes/N is a number from 0 to ${MAX_BYTES}`);
    if (query === 'sha256') return this.#digest(req, res, total);
    if (query !== '') return this.#fail(req, res, 400, 'the one query of /bytes/N is ?sha256');
    res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': total });
    if (req.method === 'HEAD') return void res.end();
    pipeline(new PatternStream(this.#block, total), res, (err) => {
      if (err) this.counters.broken++;
      else this.counters.bytesServed += total;
    });
  }

  #digest(req: IncomingMessage, res: ServerResponse, total: number): void {
    if (total > MAX_HASHED) return this.#fail(req, res, 400, `N of /bytes/N?sha256 is a number from 0 to ${MAX_HASHED}`);
    void patternHash(this.#kernel, this.#block, total, () => res.destroyed).then((sha256) => {
      if (sha256 !== null) sendText(res, 200, `${sha256}\n`);
    });
  }

  #sink(req: IncomingMessage, res: ServerResponse): void {
    if (req.method !== 'POST' && req.method !== 'PUT') {
      res.setHeader('Allow', 'POST, PUT');
      return this.#fail(req, res, 405, `${req.method ?? ''} is not for this resource; use POST or PUT`);
    }
    const hash = createHash('sha256');
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    req.on('error', () => this.counters.broken++);
    req.on('end', () => {
      this.counters.bytesSunk += bytes;
      sendJson(res, 200, { bytes, sha256: hash.digest('hex') });
    });
  }

  #stats(): object {
    const kernel = this.#kernel;
    return {
      stack: kernel.netstack.name,
      uptimeSeconds: Math.round(kernel.clock.realtimeMs() - kernel.bootTimeMs) / 1000,
      interfaces: kernel.ifnets.all().map(describeIf),
      counters: kernel.counters.snapshot(),
    };
  }
}

function describeIf(ifp: Ifnet): object {
  const lladdr = ifp.lladdr();
  return {
    name: ifp.name(),
    index: ifp.index,
    type: ifp.type(),
    up: ifp.isUp(),
    link: ifp.linkState(),
    mtu: ifp.mtu(),
    lladdr: lladdr === null ? null : Array.from(lladdr, (byte) => byte.toString(16).padStart(2, '0')).join(':'),
    counters: { ...ifp.counters },
  };
}

function sendText(res: ServerResponse, status: number, text: string): void {
  send(res, status, 'text/plain; charset=utf-8', text);
}

function sendJson(res: ServerResponse, status: number, value: unknown): void {
  send(res, status, 'application/json', `${JSON.stringify(value)}\n`);
}

function send(res: ServerResponse, status: number, type: string, text: string): void {
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) });
  res.end(text);
}
