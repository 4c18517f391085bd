/** A listening socket of the kernel as Node's `net.Server`. */
import { EventEmitter } from 'node:events';
import { type Errno, isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { soaccept, sobind, soclose, socreate, solisten, sosockaddr } from '../kern/socket/calls.ts';
import { SOCK_STREAM, type SockAddr } from '../kern/socket/protosw.ts';
import type { Socket } from '../kern/socket/socket.ts';
import { type AddressInfo, addressInfo, anyAddr, familyOf, parseSockAddr, placeOf } from './address.ts';
import { ApiError, SysError, checkPort } from './errors.ts';
import { streamHandler } from './handler.ts';
import { NetSocket } from './socket.ts';
import { setAcceptFilterOption, setReuseAddrOption } from './sockopts.ts';

export interface ServerOptions {
  allowHalfOpen?: boolean;
  pauseOnConnect?: boolean;
  noDelay?: boolean;
  keepAlive?: boolean;
  /** Milliseconds. */
  keepAliveInitialDelay?: number;
  highWaterMark?: number;
}

export interface ListenOptions {
  port?: number | string;
  host?: string;
  /** A name in the kernel's local domain, instead of host and port. */
  path?: string;
  backlog?: number;
  /** An accept filter of the kernel (accept_filter(9)) by name. */
  acceptFilter?: string;
  /** Who the operator is told has the sockets (sockstat). Default `node`. */
  owner?: string;
  signal?: AbortSignal;
}

/** Node's default length of the queue. */
const BACKLOG = 511;

export class NetServer extends EventEmitter {
  /** Connections at one time; those beyond it are closed at once, and a 'drop' event tells. */
  maxConnections: number | undefined = undefined;
  readonly #kernel: Kernel;
  readonly #options: ServerOptions;
  #head: Socket | null = null;
  #connections = 0;
  #closing = false;

  constructor(kernel: Kernel, options: ServerOptions = {}, onConnection: ((socket: NetSocket) => void) | null = null) {
    super();
    this.#kernel = kernel;
    this.#options = options;
    if (onConnection !== null) this.on('connection', onConnection);
  }

  get listening(): boolean {
    return this.#head !== null;
  }

  /** `(port, host, backlog, cb)`, `(path, backlog, cb)` or `(options, cb)`; each but the first may be left out. */
  listen(...args: unknown[]): this {
    const callback = args.findLast((a) => typeof a === 'function') as (() => void) | undefined;
    const options = normalizeListen(args);
    if (this.#head !== null)
      throw new ApiError('ERR_SERVER_ALREADY_LISTEN', 'Listen method has been called more than once without closing.');
    if (callback !== undefined) this.once('listening', callback);
    const addr = listenAddr(options);
    const err = addr === null ? noSuchHost(options.host ?? '') : this.#bind(addr, options);
    if (err === null) {
      process.nextTick(() => {
        if (this.#head !== null) this.emit('listening');
      });
    } else {
      process.nextTick(() => this.emit('error', err));
    }
    if (options.signal?.aborted === true) process.nextTick(() => this.close());
    else options.signal?.addEventListener('abort', () => this.close(), { once: true });
    return this;
  }

  #bind(addr: SockAddr, options: ListenOptions): Error | null {
    const so = socreate(this.#kernel, familyOf(addr), SOCK_STREAM, 0, null);
    if (isErrno(so)) return new SysError(so, 'listen', placeOf(addr));
    so.handler = streamHandler;
    so.data = this;
    so.owner = options.owner ?? 'node';
    const err = this.#prepare(so, addr, options);
    if (err !== null) {
      streamHandler.forget(so);
      soclose(so);
      return new SysError(err, 'listen', placeOf(addr));
    }
    this.#head = so;
    this.#closing = false;
    return null;
  }

  #prepare(so: Socket, addr: SockAddr, { backlog = BACKLOG, acceptFilter }: ListenOptions): Errno | null {
    if (addr.kind === 'inet') setReuseAddrOption(so);
    const err = sobind(so, addr) ?? solisten(so, backlog);
    if (err !== null || acceptFilter === undefined) return err;
    return setAcceptFilterOption(so, acceptFilter);
  }

  /** Takes all connections that are ready. */
  onAccept(head: Socket): void {
    for (;;) {
      const so = soaccept(head);
      if (so === 'EAGAIN' || so === 'EINVAL' || head !== this.#head) return;
      if (isErrno(so)) continue;
      if (this.maxConnections !== undefined && this.#connections >= this.maxConnections) this.#drop(so);
      else this.#connection(so);
    }
  }

  #connection(so: Socket): void {
    const {
      allowHalfOpen = false,
      pauseOnConnect = false,
      noDelay,
      keepAlive,
      keepAliveInitialDelay,
      highWaterMark,
    } = this.#options;
    const socket = new NetSocket(
      this.#kernel,
      { allowHalfOpen, ...(highWaterMark === undefined ? {} : { highWaterMark }) },
      so,
      this,
    );
    this.#connections++;
    if (noDelay === true) socket.setNoDelay(true);
    if (keepAlive === true) socket.setKeepAlive(true, keepAliveInitialDelay ?? 0);
    if (pauseOnConnect) socket.pause();
    else socket.read(0);
    this.emit('connection', socket);
  }

  #drop(so: Socket): void {
    const socket = new NetSocket(this.#kernel, {}, so);
    const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket;
    socket.destroy();
    this.emit('drop', { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily });
  }

  /** Address and port of an inet listener, the name of a local one, null while it does not listen. */
  address(): AddressInfo | string | null {
    const addr = this.#head === null ? 'EINVAL' : sosockaddr(this.#head);
    if (isErrno(addr)) return null;
    return addr.kind === 'local' ? addr.path : addressInfo(addr);
  }

  /** Stops listening; 'close' comes when the last connection has ended. */
  close(callback?: (err?: Error) => void): this {
    const head = this.#head;
    if (callback !== undefined) {
      if (head === null) process.nextTick(callback, new ApiError('ERR_SERVER_NOT_RUNNING', 'Server is not running.'));
      else this.once('close', callback);
    }
    if (head === null) return this;
    this.#head = null;
    this.#closing = true;
    streamHandler.forget(head);
    soclose(head);
    this.#closeIfDrained();
    return this;
  }

  /** A connection of this server has ended. */
  connectionClosed(): void {
    this.#connections--;
    this.#closeIfDrained();
  }

  #closeIfDrained(): void {
    if (!this.#closing || this.#connections > 0) return;
    this.#closing = false;
    process.nextTick(() => this.emit('close'));
  }

  getConnections(callback: (err: Error | null, count: number) => void): this {
    process.nextTick(callback, null, this.#connections);
    return this;
  }

  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.#head === null) return Promise.resolve();
    return new Promise((resolve, reject) => this.close((err) => (err === undefined ? resolve() : reject(err))));
  }
}

function normalizeListen(args: readonly unknown[]): ListenOptions {
  const [first, second, third] = args.filter((a) => typeof a !== 'function');
  if (typeof first === 'object' && first !== null) return first as ListenOptions;
  if (typeof first === 'string' && !/^\s*\d+\s*$/.test(first))
    return { path: first, ...(typeof second === 'number' ? { backlog: second } : {}) };
  const backlog = typeof second === 'number' ? second : third;
  return {
    port: (first as number | string | undefined) ?? 0,
    ...(typeof second === 'string' ? { host: second } : {}),
    ...(typeof backlog === 'number' ? { backlog } : {}),
  };
}

/** Null for a host that is not an address. */
function listenAddr({ path, port = 0, host }: ListenOptions): SockAddr | null {
  if (path !== undefined) return { kind: 'local', path };
  const n = checkPort(port);
  if (host === undefined || host === '') return anyAddr(4, n);
  return parseSockAddr(host === 'localhost' ? '127.0.0.1' : host, n);
}

function noSuchHost(hostname: string): Error {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname });
}
