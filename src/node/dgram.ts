/** Datagram sockets of the kernel as Node's `dgram`. A message is copied once, out of the link's buffer, into one of its own size. */
import { EventEmitter } from 'node:events';
import { type Errno, isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { sobind, soclose, soconnect, socreate, sopeeraddr, sosockaddr, sotakeerror } from '../kern/socket/calls.ts';
import { sosendto } from '../kern/socket/sendrecv.ts';
import { AF_INET, AF_INET6, SOCK_DGRAM, type SockAddr } from '../kern/socket/protosw.ts';
import type { Socket } from '../kern/socket/socket.ts';
import { type AddressInfo, addressInfo, anyAddr, familyOf, infoOf, parseSockAddr, placeOf } from './address.ts';
import { ApiError, SysError, checkPort } from './errors.ts';
import { dgramHandler, streamHandler } from './handler.ts';
import {
  type GroupChange,
  getBufferSizeOption,
  setBroadcastOption,
  setBufferSizeOption,
  setGroupOption,
  setMulticastIfOption,
  setMulticastLoopOption,
  setMulticastTtlOption,
  setReuseAddrOption,
  setReusePortOption,
  setTtlOption,
} from './sockopts.ts';

export interface DgramOptions {
  type: 'udp4' | 'udp6';
  reuseAddr?: boolean;
  reusePort?: boolean;
  recvBufferSize?: number;
  sendBufferSize?: number;
  signal?: AbortSignal;
}

export interface BindOptions {
  port?: number;
  address?: string;
}

export interface RemoteInfo extends AddressInfo {
  /** Length of the message in bytes. */
  size: number;
}

type Sent = (err: Error | null, bytes?: number) => void;
type SendArgs =
  | [port: number, address: string, done?: Sent]
  | [port: number, done?: Sent]
  | [offset: number, length: number, port: number, address: string, done?: Sent]
  | [offset: number, length: number, port: number, done?: Sent]
  | [offset: number, length: number, done?: Sent]
  | [done?: Sent];
type Message = string | Uint8Array | readonly (string | Uint8Array)[];

export class DgramSocket extends EventEmitter {
  readonly type: 'udp4' | 'udp6';
  readonly #kernel: Kernel;
  readonly #options: DgramOptions;
  #so: Socket | null = null;
  #state: 'unbound' | 'bound' | 'closed' = 'unbound';
  #connected = false;

  constructor(kernel: Kernel, options: DgramOptions, onMessage: ((msg: Buffer, rinfo: RemoteInfo) => void) | null = null) {
    super();
    if (options.type !== 'udp4' && options.type !== 'udp6') {
      throw new ApiError('ERR_SOCKET_BAD_TYPE', 'Bad socket type specified. Valid types are: udp4, udp6');
    }
    this.type = options.type;
    this.#kernel = kernel;
    this.#options = options;
    if (onMessage !== null) this.on('message', onMessage);
    const { signal } = options;
    if (signal?.aborted === true) process.nextTick(() => this.close());
    else signal?.addEventListener('abort', () => this.#state !== 'closed' && this.close(), { once: true });
  }

  #family(): 4 | 6 {
    return this.type === 'udp4' ? 4 : 6;
  }

  #loopback(): string {
    return this.type === 'udp4' ? '127.0.0.1' : '::1';
  }

  /** An address of this socket's family; throws for a port out of range, null for anything that is no such address. */
  #parse(address: string, port: number): SockAddr | null {
    const addr = parseSockAddr(address === 'localhost' ? this.#loopback() : address, port);
    return addr !== null && familyOf(addr) === (this.type === 'udp4' ? AF_INET : AF_INET6) ? addr : null;
  }

  #live(): Socket {
    if (this.#state === 'closed') throw new ApiError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
    if (this.#so !== null) return this.#so;
    const so = socreate(this.#kernel, this.type === 'udp4' ? AF_INET : AF_INET6, SOCK_DGRAM, 0, null);
    if (isErrno(so)) throw new SysError(so, 'socket');
    so.handler = dgramHandler;
    so.data = this;
    so.owner = 'node';
    const { reuseAddr, reusePort, recvBufferSize, sendBufferSize } = this.#options;
    if (reuseAddr === true) setReuseAddrOption(so);
    if (reusePort === true) setReusePortOption(so);
    if (recvBufferSize !== undefined) setBufferSizeOption(so, 'rcv', recvBufferSize);
    if (sendBufferSize !== undefined) setBufferSizeOption(so, 'snd', sendBufferSize);
    return (this.#so = so);
  }

  /** `(port, address, cb)` or `(options, cb)`; all may be left out. */
  bind(...args: unknown[]): this {
    if (this.#state === 'bound') throw new ApiError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    const callback = args.findLast((a) => typeof a === 'function') as (() => void) | undefined;
    const [first, second] = args.filter((a) => typeof a !== 'function');
    const options: BindOptions =
      typeof first === 'object' && first !== null
        ? first
        : { port: (first as number | undefined) ?? 0, ...(typeof second === 'string' ? { address: second } : {}) };
    const port = checkPort(options.port ?? 0);
    const { address } = options;
    const addr = address === undefined || address === '' ? anyAddr(this.#family(), port) : this.#parse(address, port);
    if (callback !== undefined) this.once('listening', callback);
    const err = this.#bindNow(addr, address ?? '', port);
    process.nextTick(() => {
      if (err !== null) this.emit('error', err);
      else if (this.#state === 'bound') this.emit('listening');
    });
    return this;
  }

  #bindNow(addr: SockAddr | null, text: string, port: number): Error | null {
    if (addr === null) return new SysError('EINVAL', 'bind', { address: text, port });
    try {
      const err = sobind(this.#live(), addr);
      if (err !== null) return new SysError(err, 'bind', placeOf(addr));
    } catch (error) {
      if (error instanceof SysError) return error;
      throw error;
    }
    this.#state = 'bound';
    return null;
  }

  #bindIfNeeded(): void {
    this.#live();
    if (this.#state === 'unbound') this.bind(0);
  }

  /** `(port, address, cb)`. Messages then go to and come from this peer only. */
  connect(...args: unknown[]): void {
    const [port, address = this.#loopback()] = args.filter((a) => typeof a !== 'function') as [unknown, string?];
    const callback = args.findLast((a) => typeof a === 'function') as ((err?: Error) => void) | undefined;
    const n = checkPort(port);
    if (n === 0) throw new ApiError('ERR_SOCKET_BAD_PORT', 'Port should be > 0 and < 65536. Received 0.');
    if (this.#connected) throw new ApiError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    this.#bindIfNeeded();
    const addr = this.#parse(address, n);
    const errno: Errno | null = addr === null ? 'EINVAL' : soconnect(this.#live(), addr);
    const err = errno === null ? null : new SysError(errno, 'connect', { address, port: n });
    this.#connected = err === null;
    process.nextTick(() => {
      if (err === null) {
        this.emit('connect');
        callback?.();
      } else if (callback !== undefined) callback(err);
      else this.emit('error', err);
    });
  }

  remoteAddress(): AddressInfo {
    const info = this.#connected ? infoOf(sopeeraddr(this.#live())) : null;
    if (info === null) throw new ApiError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    return info;
  }

  /** `(msg, [offset, length], [port, [address]], [cb])`; on a connected socket without port and address. */
  send(msg: Message, ...args: SendArgs): void {
    const done = (args as unknown[]).findLast((a) => typeof a === 'function') as Sent | undefined;
    const rest = (args as unknown[]).filter((a) => typeof a !== 'function');
    let bytes = toBytes(msg);
    // With offset and length: two numbers more than the destination needs.
    const destination = this.#connected ? 0 : 1;
    if (rest.length >= destination + 2 && typeof rest[0] === 'number' && typeof rest[1] === 'number') {
      const [off, len] = rest.splice(0, 2) as [number, number];
      if (off < 0 || len < 0 || off + len > bytes.length) {
        throw new ApiError('ERR_BUFFER_OUT_OF_BOUNDS', 'offset and length are outside of the buffer');
      }
      bytes = bytes.subarray(off, off + len);
    }
    if (this.#connected && rest.length > 0) throw new ApiError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    const to = this.#connected ? null : this.#destination(rest);
    this.#bindIfNeeded();
    const place = to === null ? {} : { address: to.text, port: to.port };
    const errno = to !== null && to.addr === null ? 'EINVAL' : sosendto(this.#live(), bytes, 0, bytes.length, to?.addr ?? null);
    const err = errno === null ? null : new SysError(errno, 'send', place);
    if (done !== undefined) process.nextTick(done, err, err === null ? bytes.length : undefined);
    else if (err !== null) process.nextTick(() => this.emit('error', err));
  }

  #destination([port, address]: readonly unknown[]): { addr: SockAddr | null; text: string; port: number } {
    const n = checkPort(port);
    if (n === 0) throw new ApiError('ERR_SOCKET_BAD_PORT', 'Port should be > 0 and < 65536. Received 0.');
    const text = typeof address === 'string' && address !== '' ? address : this.#loopback();
    return { addr: this.#parse(text, n), text, port: n };
  }

  onDatagram(from: SockAddr, bytes: Uint8Array, off: number, len: number): void {
    if (from.kind !== 'inet') return;
    const msg = Buffer.allocUnsafeSlow(len);
    msg.set(bytes.subarray(off, off + len));
    const { address, family, port } = addressInfo(from);
    this.emit('message', msg, { address, family, port, size: len } satisfies RemoteInfo);
  }

  onReadable(so: Socket): void {
    const err = sotakeerror(so);
    if (err !== null) this.emit('error', new SysError(err, 'recvmsg'));
  }

  address(): AddressInfo {
    const info = infoOf(sosockaddr(this.#live()));
    if (info === null) throw new SysError('EBADF', 'getsockname');
    return info;
  }

  close(callback?: () => void): this {
    if (this.#state === 'closed') throw new ApiError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
    if (callback !== undefined) this.once('close', callback);
    this.#state = 'closed';
    const so = this.#so;
    this.#so = null;
    if (so !== null) {
      streamHandler.forget(so);
      soclose(so);
    }
    process.nextTick(() => this.emit('close'));
    return this;
  }

  setBroadcast(on: boolean): void {
    this.#must('setBroadcast', setBroadcastOption(this.#live(), on));
  }

  setTTL(ttl: number): number {
    this.#must('setTTL', setTtlOption(this.#live(), ttl));
    return ttl;
  }

  /** Joins a group, on the interface that has the address `multicastInterface`, or on the one that routes say. */
  addMembership(multicastAddress: string, multicastInterface?: string): void {
    this.#group('addMembership', 'add', multicastAddress, multicastInterface);
  }
  dropMembership(multicastAddress: string, multicastInterface?: string): void {
    this.#group('dropMembership', 'drop', multicastAddress, multicastInterface);
  }
  /** Only what `sourceAddress` sends to the group. */
  addSourceSpecificMembership(sourceAddress: string, groupAddress: string, multicastInterface?: string): void {
    this.#group('addSourceSpecificMembership', 'addSource', groupAddress, multicastInterface, sourceAddress);
  }
  dropSourceSpecificMembership(sourceAddress: string, groupAddress: string, multicastInterface?: string): void {
    this.#group('dropSourceSpecificMembership', 'dropSource', groupAddress, multicastInterface, sourceAddress);
  }

  #group(syscall: string, what: GroupChange, group: string, via?: string, source?: string): void {
    // Whoever joins wants to hear: Node binds such a socket too.
    this.#bindIfNeeded();
    const [groupAddr, viaAddr, sourceAddr] = [group, via, source].map((text) => {
      const addr = text === undefined || text === '' ? null : this.#parse(text, 0);
      return addr !== null && addr.kind === 'inet' ? addr.addr : null;
    });
    const bad = (via !== undefined && via !== '' && !viaAddr) || (source !== undefined && !sourceAddr) || !groupAddr;
    const err = bad ? 'EINVAL' : setGroupOption(this.#live(), what, groupAddr, viaAddr ?? null, sourceAddr ?? null);
    this.#must(syscall, err);
  }

  setMulticastTTL(ttl: number): number {
    this.#must('setMulticastTTL', setMulticastTtlOption(this.#live(), ttl));
    return ttl;
  }
  /** Whether members on this host hear what this socket sends. */
  setMulticastLoopback(on: boolean): boolean {
    this.#must('setMulticastLoopback', setMulticastLoopOption(this.#live(), on));
    return on;
  }
  /** Sends to groups over the interface that has this address; 0.0.0.0: as routes say. */
  setMulticastInterface(multicastInterface: string): void {
    const addr = this.#parse(multicastInterface, 0);
    const err = addr === null || addr.kind !== 'inet' ? 'EINVAL' : setMulticastIfOption(this.#live(), addr.addr);
    this.#must('setMulticastInterface', err);
  }

  setRecvBufferSize(bytes: number): void {
    this.#must('setRecvBufferSize', setBufferSizeOption(this.#live(), 'rcv', bytes));
  }
  setSendBufferSize(bytes: number): void {
    this.#must('setSendBufferSize', setBufferSizeOption(this.#live(), 'snd', bytes));
  }
  getRecvBufferSize(): number {
    return getBufferSizeOption(this.#live(), 'rcv');
  }
  getSendBufferSize(): number {
    return getBufferSizeOption(this.#live(), 'snd');
  }

  #must(syscall: string, err: Errno | null): void {
    if (err !== null) throw new SysError(err, syscall);
  }

  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

function toBytes(msg: Message): Uint8Array {
  if (typeof msg === 'string') return Buffer.from(msg);
  if (msg instanceof Uint8Array) return msg;
  if (Array.isArray(msg))
    return Buffer.concat(msg.map((part: string | Uint8Array) => (typeof part === 'string' ? Buffer.from(part) : part)));
  throw new ApiError('ERR_INVALID_ARG_TYPE', 'The "msg" argument must be a string, a Uint8Array, or an array of them');
}

export interface Dgram {
  readonly Socket: typeof DgramSocket;
  createSocket(type: 'udp4' | 'udp6' | DgramOptions, onMessage?: (msg: Buffer, rinfo: RemoteInfo) => void): DgramSocket;
}

/** Node's `dgram` over `kernel`. */
export function createDgram(kernel: Kernel): Dgram {
  return {
    Socket: DgramSocket,
    createSocket: (type, onMessage) => new DgramSocket(kernel, typeof type === 'string' ? { type } : type, onMessage ?? null),
  };
}
