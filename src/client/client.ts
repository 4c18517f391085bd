/**
 * A boot's control socket from TypeScript: one method for each call, data as bytes, errors as `ControlError`, captures and events as
 * iterations. The calls are described in `src/control/CONTRACT.md`. Nothing of the kernel is needed at run time.
 */
import { type Connection, openConnection } from './connection.ts';
import { Sender } from './sender.ts';
import { ItemStream } from './stream.ts';
import type {
  Address,
  CaptureEnd,
  CaptureFilter,
  CapturedFrame,
  CounterRow,
  DomainName,
  EventName,
  Greeting,
  InetAddress,
  KernelEvent,
  ModuleRow,
  PollAnswer,
  PollRequest,
  ResetAnswer,
  SysctlRow,
  SysctlValue,
  Tables,
  TypeName,
} from './types.ts';

export { ControlError } from './errors.ts';
export { ItemStream } from './stream.ts';
export type * from './types.ts';

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
const fromBase64 = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), 'base64'));

export interface ReceivedFrom {
  readonly data: Uint8Array;
  readonly addr: string | null;
  readonly port: number | null;
  readonly truncated?: boolean;
  /** What the socket asked to be told (IP_RECVTTL and the like): level and type by name, addresses as text. */
  readonly control?: readonly { readonly level: string; readonly type: string; readonly value: unknown }[];
}

export interface Accepted {
  readonly fd: number;
  readonly addr: string | null;
  readonly port: number | null;
}

/** Connects to a boot's control socket. Rejects with a `ControlError`: ENOENT, ECONNREFUSED, EACCES. */
export async function connect(path: string): Promise<Client> {
  return new Client(await openConnection(path));
}

export class Client {
  readonly #connection: Connection;
  /** The socket that ioctls go to, made when the first one comes. */
  #own: Promise<number> | null = null;
  readonly #sender: Sender;

  constructor(connection: Connection) {
    this.#connection = connection;
    const call = (fd: number, data: Uint8Array, flags: readonly string[]): Promise<number> =>
      this.#typed('send', fd, toBase64(data), flags);
    this.#sender = new Sender(call, connection.greeting.limits.data);
  }

  get greeting(): Greeting {
    return this.#connection.greeting;
  }
  /** Settles when the connection is over, from either side. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }
  /** Is there such a call on this boot? */
  has(call: string): boolean {
    return this.greeting.calls.includes(call);
  }
  close(): void {
    this.#connection.close();
  }

  /** Any call, its arguments and answer as the protocol has them. */
  call(name: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.#connection.call(name, ...args);
  }
  #typed<T>(name: string, ...args: readonly unknown[]): Promise<T> {
    return this.#connection.call(name, ...args) as Promise<T>;
  }

  socket(domain: DomainName, type: TypeName, protocol = 0): Promise<number> {
    return this.#typed('socket', domain, type, protocol);
  }
  socketpair(domain: DomainName, type: TypeName, protocol = 0): Promise<[number, number]> {
    return this.#typed('socketpair', domain, type, protocol);
  }
  bind(fd: number, address: Address): Promise<null> {
    return this.#typed('bind', fd, address);
  }
  listen(fd: number, backlog = 128): Promise<null> {
    return this.#typed('listen', fd, backlog);
  }
  accept(fd: number): Promise<Accepted> {
    return this.#typed('accept', fd);
  }
  connect(fd: number, address: Address): Promise<null> {
    return this.#typed('connect', fd, address);
  }
  /** Bytes that were sent. Data of any length: what is longer than `greeting.limits.data` goes in parts. */
  send(fd: number, data: Uint8Array, flags: readonly string[] = []): Promise<number> {
    return this.#sender.send(fd, data, flags);
  }
  sendto(fd: number, data: Uint8Array, address: Address | null, flags: readonly string[] = []): Promise<number> {
    return this.#typed('sendto', fd, toBase64(data), address, flags);
  }
  /** Up to `length` bytes; none at the end of the stream. */
  async recv(fd: number, length: number, flags: readonly string[] = []): Promise<Uint8Array> {
    const { data } = await this.#typed<{ data: string }>('recv', fd, length, flags);
    return fromBase64(data);
  }
  async recvfrom(fd: number, length: number, flags: readonly string[] = []): Promise<ReceivedFrom> {
    const answer = await this.#typed<Omit<ReceivedFrom, 'data'> & { data: string }>('recvfrom', fd, length, flags);
    return { ...answer, data: fromBase64(answer.data) };
  }
  shutdown(fd: number, how: 'rd' | 'wr' | 'rdwr'): Promise<null> {
    return this.#typed('shutdown', fd, how);
  }
  /** Gives a descriptor back (close(2)). */
  closefd(fd: number): Promise<null> {
    return this.#typed('close', fd);
  }
  getsockname(fd: number): Promise<InetAddress> {
    return this.#typed('getsockname', fd);
  }
  getpeername(fd: number): Promise<InetAddress> {
    return this.#typed('getpeername', fd);
  }
  getsockopt(fd: number, level: string, name: string): Promise<unknown> {
    return this.call('getsockopt', fd, level, name);
  }
  setsockopt(fd: number, level: string, name: string, value: unknown): Promise<null> {
    return this.#typed('setsockopt', fd, level, name, value);
  }
  nonblock(fd: number, on: boolean): Promise<null> {
    return this.#typed('fcntl', fd, 'nonblock', on);
  }
  poll(fds: readonly PollRequest[], timeoutMs = -1): Promise<PollAnswer[]> {
    return this.#typed('poll', fds, timeoutMs);
  }

  /** An ioctl on a socket of the client's own: what the operator's commands need. The argument is answered, filled in. */
  async ioctl<T extends object = Record<string, unknown>>(name: string, argument: object): Promise<T> {
    this.#own ??= this.socket('local', 'dgram');
    const own = this.#own;
    // A reset closes it: then there is a new one.
    own.catch(() => (this.#own = null));
    try {
      return await this.ioctlOn(await own, name, argument);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EBADF') || this.#own !== own) throw error;
      this.#own = this.socket('local', 'dgram');
      return this.ioctlOn(await this.#own, name, argument);
    }
  }
  ioctlOn<T extends object = Record<string, unknown>>(fd: number, name: string, argument: object): Promise<T> {
    return this.#typed('ioctl', fd, name, argument);
  }

  sysctl(name: string): Promise<SysctlValue> {
    return this.#typed('sysctl', name);
  }
  /** Answers the value before. */
  sysctlWrite(name: string, value: SysctlValue): Promise<SysctlValue> {
    return this.#typed('sysctl', name, value);
  }
  sysctlWalk(prefix = '', options: { tables?: boolean } = {}): Promise<SysctlRow[]> {
    return this.#typed('sysctlwalk', prefix, options);
  }
  /** The rows of a table of the kernel. */
  table<K extends keyof Tables>(name: K): Promise<Tables[K][]> {
    return this.#typed('sysctl', name);
  }
  counters(prefix = ''): Promise<CounterRow[]> {
    return this.#typed('counters', prefix);
  }

  kldstat(): Promise<ModuleRow[]> {
    return this.#typed('kldstat');
  }
  kldload(name: string): Promise<Omit<ModuleRow, 'holders'>> {
    return this.#typed('kldload', name);
  }
  kldunload(which: string | number, force = false): Promise<null> {
    return this.#typed('kldunload', which, force);
  }
  kenvGet(name: string): Promise<string> {
    return this.#typed('kenv', 'get', name);
  }
  kenvSet(name: string, value: string): Promise<null> {
    return this.#typed('kenv', 'set', name, value);
  }
  kenvUnset(name: string): Promise<null> {
    return this.#typed('kenv', 'unset', name);
  }
  kenvDump(): Promise<[name: string, value: string][]> {
    return this.#typed('kenv', 'dump');
  }
  setfib(fib: number): Promise<null> {
    return this.#typed('setfib', fib);
  }
  getfib(): Promise<number> {
    return this.#typed('getfib');
  }
  uuidgen(count = 1): Promise<string[]> {
    return this.#typed('uuidgen', count);
  }
  /** The kernel as just booted. This client's descriptors are closed too. */
  reset(): Promise<ResetAnswer> {
    return this.#typed('reset');
  }

  /** Frames as they pass; `break` ends it. */
  capture(filter: CaptureFilter = {}): ItemStream<CapturedFrame, CaptureEnd & Record<string, unknown>> {
    return this.#stream((item) => ({ ...(item as unknown as CapturedFrame), data: fromBase64(item.data) }), 'capture', filter);
  }
  /** The same as blocks of a pcapng file. */
  capturePcapng(filter: CaptureFilter = {}): ItemStream<Uint8Array, CaptureEnd & Record<string, unknown>> {
    return this.#stream((item) => fromBase64(item.data), 'capture', { ...filter, format: 'pcapng' });
  }
  /** What the ring of the last frames holds, as blocks of a pcapng file (kern.capture.ring_mb). */
  captureRing(): ItemStream<Uint8Array, CaptureEnd & Record<string, unknown>> {
    return this.#stream((item) => fromBase64(item.data), 'capturering', { format: 'pcapng' });
  }
  events(options: { names?: readonly EventName[] } = {}): ItemStream<KernelEvent> {
    return this.#stream((item) => item as KernelEvent, 'events', options);
  }

  #stream<T, E extends Record<string, unknown>>(
    make: (item: Record<string, unknown>) => T,
    call: string,
    options: object,
  ): ItemStream<T, E> {
    const connection = this.#connection;
    let id = 0;
    return new ItemStream<T, E>(
      {
        start: (entry) => (id = connection.stream(entry, call, options)),
        cancel: () => connection.cancel(id),
        hold: (held) => connection.hold(id, held),
      },
      make,
    );
  }
}
