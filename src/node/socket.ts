/**
 * A stream socket of the kernel as Node's `net.Socket`: a Duplex whose reads take from `so.rcv` and whose writes fill `so.snd`.
 * Back-pressure reaches the peer both ways: bytes that the stream does not want stay in `so.rcv`, so the window closes; a write's
 * callback waits until the send buffer took all of it. Time comes from the kernel's callouts.
 */
import { Duplex } from 'node:stream';
import type { Errno } from '../kern/errno.ts';
import { isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { NETISR_STACK, type NetisrWork } from '../kern/netisr.ts';
import {
  sobind,
  soabort,
  soclose,
  soconnect,
  socreate,
  sopeeraddr,
  soshutdown,
  sosockaddr,
  sotakeerror,
} from '../kern/socket/calls.ts';
import { soreceive } from '../kern/socket/sendrecv.ts';
import { SOCK_STREAM, type SockAddr } from '../kern/socket/protosw.ts';
import { SS_CANTRCVMORE, SS_ISCONNECTED, type Socket } from '../kern/socket/socket.ts';
import { type AddressInfo, familyOf, infoOf, placeOf } from './address.ts';
import {
  type ConnectArgs,
  type ConnectOptions,
  type SocketOptions,
  localAddrOf,
  normalizeConnect,
  resolveTarget,
} from './connect.ts';
import { ApiError, SysError } from './errors.ts';
import { endOfPeer } from './afterfin.ts';
import { streamHandler } from './handler.ts';
import type { NetServer } from './server.ts';
import { IdleTimer, checkTimeout } from './idle.ts';
import { setKeepAliveOption, setNoDelayOption } from './sockopts.ts';
import { type Done, Writer } from './writer.ts';

/** Most bytes that one chunk carries when it is read out of `so.rcv`. */
const READ_MAX = 65536;

export class NetSocket extends Duplex {
  /** True from `connect()` until the connection stands or has failed. */
  connecting = false;
  bytesRead = 0;
  /** Milliseconds without traffic until 'timeout'; undefined while none was set. */
  timeout: number | undefined = undefined;
  server: NetServer | null = null;
  /** For Node's `http` and `tls`, which look for a native handle: there is none. */
  readonly _handle = null;
  readonly #kernel: Kernel;
  #so: Socket | null = null;
  /** The stream wants bytes; it said so since the last chunk. */
  #wantRead = false;
  #asked = false;
  #pumping = false;
  #eof = false;
  #lastBatchMs = -1;
  readonly #pumpWork: NetisrWork;
  readonly #writer = new Writer();
  #target: SockAddr | null = null;
  #peer: AddressInfo | null = null;
  #local: AddressInfo | null = null;
  #noDelay = false;
  #keepAlive: { on: boolean; delayMs: number } | null = null;
  #idle: IdleTimer | null = null;
  #reset = false;
  #listener: NetServer | null;

  /** `server` is the listener that the connection came to; Node's `http` puts itself into the property of that name. */
  constructor(kernel: Kernel, options: SocketOptions = {}, so: Socket | null = null, server: NetServer | null = null) {
    const { signal, highWaterMark } = options;
    super({
      allowHalfOpen: options.allowHalfOpen === true,
      emitClose: false,
      ...(signal === undefined ? {} : { signal }),
      ...(highWaterMark === undefined ? {} : { highWaterMark }),
    });
    this.#kernel = kernel;
    this.#pumpWork = { level: NETISR_STACK, queued: false, run: () => streamHandler.guard(this.#kernel, this.#pump) };
    this.on('end', endOfPeer);
    this.server = this.#listener = server;
    if (so !== null) this.#adopt(so);
  }

  #adopt(so: Socket): void {
    this.#so = so;
    so.handler = streamHandler;
    so.data = this;
  }

  connect(...args: ConnectArgs): this {
    const { options, callback } = normalizeConnect(args);
    if (this.destroyed) this.#again();
    if (callback !== null) this.once('connect', callback);
    this.connecting = true;
    this.#noDelay ||= options.noDelay === true;
    if (options.keepAlive === true) this.#keepAlive = { on: true, delayMs: options.keepAliveInitialDelay ?? 0 };
    if (options.timeout !== undefined) this.setTimeout(options.timeout);
    resolveTarget(this, options, (err, target) => {
      if (!this.connecting) return;
      if (target === null) this.destroy(err);
      else process.nextTick(() => this.#open(target, options));
    });
    return this;
  }

  /** A closed socket may be connected anew. */
  #again(): void {
    (this as unknown as { _undestroy(): void })._undestroy();
    delete (this as { write?: unknown }).write;
    this.#eof = this.#wantRead = this.#reset = false;
    this.bytesRead = this.#writer.dispatched = 0;
    this.#peer = this.#local = this.server = this.#listener = null;
  }

  #open(target: SockAddr, options: ConnectOptions): void {
    if (!this.connecting) return;
    this.#target = target;
    const so = socreate(this.#kernel, familyOf(target), SOCK_STREAM, 0, null);
    if (isErrno(so)) return this.#connectFailed(so);
    so.owner = 'node';
    this.#adopt(so);
    setNoDelayOption(so, this.#noDelay);
    if (this.#keepAlive !== null) setKeepAliveOption(so, this.#keepAlive.on, this.#keepAlive.delayMs);
    const local = localAddrOf(target, options);
    const bindErr = local === null ? null : sobind(so, local);
    if (bindErr !== null) return this.#connectFailed(bindErr);
    const err = soconnect(so, target);
    if (err !== null && err !== 'EINPROGRESS') return this.#connectFailed(err);
    if ((so.state & SS_ISCONNECTED) !== 0) this.onConnected();
  }

  #connectFailed(err: Errno): void {
    this.destroy(new SysError(err, 'connect', this.#target === null ? {} : placeOf(this.#target)));
  }

  /** The kernel's socket under this one, or null when it is closed. */
  get so(): Socket | null {
    return this.#so;
  }

  // What the handler reports.

  onConnected(): void {
    if (!this.connecting) return;
    this.connecting = false;
    this.#touch();
    if (this.#writer.busy) this.#sendChunks();
    this.emit('connect');
    this.emit('ready');
    if (this.readable && !this.isPaused()) this.read(0);
  }

  /** One segment. The first of a batch goes up at once; those behind it collect in `so.rcv` and go up as one chunk at its end. */
  onData(bytes: Uint8Array, off: number, len: number): number {
    const { time } = this.#kernel;
    if (!this.#wantRead || this.#pumping || (time.exactMs === this.#lastBatchMs && len < READ_MAX / 4)) return 0;
    this.#lastBatchMs = time.exactMs;
    const chunk = Buffer.allocUnsafeSlow(len);
    chunk.set(bytes.subarray(off, off + len));
    this.#up(chunk);
    return len;
  }

  onReadable(so: Socket): void {
    if (this.#wantRead ? so.rcv.cc > 0 : false) this.#kernel.netisr.schedule(this.#pumpWork);
    else if (so.rcv.cc === 0 && (so.state & SS_CANTRCVMORE) !== 0) this.#endOfStream();
  }

  onWritable(): void {
    if (this.#writer.busy && !this.connecting) this.#sendChunks();
  }

  onClosed(so: Socket): void {
    const err = sotakeerror(so);
    if (this.connecting) return this.#connectFailed(err ?? 'ECONNABORTED');
    if (this.#wantRead) this.#pump();
    if (this.#so !== so) return;
    if (err !== null) this.destroy(new SysError(err, !this.#writer.busy ? 'read' : 'write'));
    else if (so.rcv.cc === 0) this.#endOfStream();
    if (this.#writer.busy && !this.destroyed) this.destroy(new SysError('EPIPE', 'write'));
  }

  #up(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    this.#touch();
    this.#asked = false;
    // A listener may have asked for more from inside, which then counts.
    if (!this.push(chunk) && !this.#asked) this.#wantRead = false;
  }

  readonly #pump = (): void => {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      this.#readOut();
    } finally {
      this.#pumping = false;
    }
  };

  #readOut(): void {
    const so = this.#so;
    if (so === null) return;
    while (this.#wantRead && so.rcv.cc > 0) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(so.rcv.cc, READ_MAX));
      const n = soreceive(so, chunk, 0, chunk.length, 0);
      if (isErrno(n)) {
        if (n !== 'EAGAIN') this.destroy(new SysError(n, 'read'));
        return;
      }
      this.#up(n === chunk.length ? chunk : chunk.subarray(0, n));
      if (this.#so !== so) return;
    }
    if (so.rcv.cc === 0 && (so.state & SS_CANTRCVMORE) !== 0) this.#endOfStream();
  }

  #endOfStream(): void {
    if (this.#eof) return;
    this.#eof = true;
    this.push(null);
    // A stream that nobody reads says 'end' only when it is looked at.
    if (this.readableLength === 0) this.read(0);
  }

  // What the streams machinery calls.

  override _read(): void {
    this.#wantRead = this.#asked = true;
    if (!this.connecting) this.#pump();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: Done): void {
    this.#send(
      chunks.map((c) => c.chunk),
      done,
    );
  }

  #send(chunks: readonly Uint8Array[], done: Done): void {
    if (this.#so === null && !this.connecting) return done(new ApiError('ERR_SOCKET_CLOSED', 'Socket is closed'));
    this.#writer.begin(chunks, done);
    if (!this.connecting) this.#sendChunks();
  }

  /** Fills `so.snd`; what does not fit waits for `onWritable`. */
  #sendChunks(): void {
    const so = this.#so;
    if (so === null) return;
    this.#touch();
    const result = this.#writer.push(so);
    if (result === false) return;
    this.#writer.finish(result === true ? null : new SysError(result, 'write'));
  }

  override _final(done: Done): void {
    if (this.connecting) {
      this.once('connect', () => this._final(done));
      return;
    }
    const err = this.#so === null ? null : soshutdown(this.#so, 'wr');
    done(err === null || err === 'ENOTCONN' ? null : new SysError(err, 'shutdown'));
  }

  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    const so = this.#so;
    this.#so = null;
    this.connecting = this.#wantRead = false;
    this.#idle?.stop();
    if (so !== null) release(so, this.#reset);
    if (this.#writer.busy)
      this.#writer.finish(err ?? new ApiError('ERR_SOCKET_CLOSED_BEFORE_CONNECTION', 'Socket closed before its data was sent'));
    done(err);
    const listener = this.#listener;
    process.nextTick(() => {
      this.emit('close', err !== null);
      listener?.connectionClosed();
    });
  }

  /** Ends the writing side, and destroys the socket when that is done. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Ends the connection with a reset. */
  resetAndDestroy(): this {
    if (this.#so === null) return this.destroy(new ApiError('ERR_SOCKET_CLOSED', 'Socket is closed'));
    this.#reset = true;
    return this.destroy();
  }

  // Options, addresses, state.

  setNoDelay(on = true): this {
    this.#noDelay = on;
    if (this.#so !== null) setNoDelayOption(this.#so, on);
    return this;
  }

  setKeepAlive(on = false, initialDelay = 0): this {
    this.#keepAlive = { on, delayMs: initialDelay };
    if (this.#so !== null) setKeepAliveOption(this.#so, on, initialDelay);
    return this;
  }

  /** 'timeout' after `ms` milliseconds without traffic; 0 for never. */
  setTimeout(ms: number, callback?: () => void): this {
    checkTimeout(ms);
    if (this.destroyed) return this;
    this.timeout = ms;
    this.#idle ??= new IdleTimer(this.#kernel, () => this.emit('timeout'));
    this.#idle.set(ms);
    if (callback === undefined) return this;
    return ms === 0 ? this.removeListener('timeout', callback) : this.once('timeout', callback);
  }

  /** Traffic: the idle time starts anew. */
  #touch(): void {
    if (this.#idle !== null) this.#idle.touch();
  }

  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  address(): AddressInfo | Record<string, never> {
    return this.#localInfo() ?? {};
  }
  get remoteAddress(): string | undefined {
    return this.#peerInfo()?.address;
  }
  get remoteFamily(): string | undefined {
    return this.#peerInfo()?.family;
  }
  get remotePort(): number | undefined {
    return this.#peerInfo()?.port;
  }
  get localAddress(): string | undefined {
    return this.#localInfo()?.address;
  }
  get localFamily(): string | undefined {
    return this.#localInfo()?.family;
  }
  get localPort(): number | undefined {
    return this.#localInfo()?.port;
  }

  #peerInfo(): AddressInfo | null {
    if (this.#peer === null && this.#so !== null && !this.connecting) this.#peer = infoOf(sopeeraddr(this.#so));
    return this.#peer;
  }

  #localInfo(): AddressInfo | null {
    if (this.#local === null && this.#so !== null) this.#local = infoOf(sosockaddr(this.#so));
    return this.#local;
  }

  get pending(): boolean {
    return this.#so === null || this.connecting;
  }
  get bytesWritten(): number {
    return this.#writer.dispatched + this.writableLength;
  }
  get bufferSize(): number {
    return this.writableLength;
  }
  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }
}

/** Lets go of a kernel socket. What is in its send buffer still leaves, unless it is reset. */
function release(so: Socket, reset: boolean): void {
  streamHandler.forget(so);
  if (reset) soabort(so);
  else soclose(so);
}
